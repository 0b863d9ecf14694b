# ResNet-10-T from scratch under a light decoder: the network of the built-in street scenes. It needs no download,
# and with batch norm it stands the high learning rates that so short a schedule wants.
segmentor = dict(
    type='SlidingEncoderDecoder',
    data_preprocessor=dict(
        type='PixelPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='TimmBackbone',
        name='resnet10t',
        # Strides 4, 8, 16, 32.
        out_indices=(1, 2, 3, 4),
        pretrained=False,
    ),
    decode_head=dict(
        type='WeightedSegformerHead',
        in_channels=[64, 128, 256, 512],
        in_index=[0, 1, 2, 3],
        channels=64,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, avg_non_ignore=False),
    ),
    test_cfg=dict(mode='whole'),
)
