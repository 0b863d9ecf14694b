# EfficientNet-Lite0 with ImageNet weights under a light decoder: the network of the small runs on photographs.
# Weights: timm's hub by default; without a connection set UDASS_WEIGHTS to a file under timm's key names.
import os

segmentor = dict(
    type='SlidingEncoderDecoder',
    data_preprocessor=dict(
        type='PixelPreprocessor',
        # How these weights were trained: pixels in [-1, 1].
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='TimmBackbone',
        name='tf_efficientnet_lite0',
        # Strides 4, 8, 16, 32.
        out_indices=(1, 2, 3, 4),
        checkpoint=os.environ.get('UDASS_WEIGHTS'),
    ),
    decode_head=dict(
        type='WeightedSegformerHead',
        in_channels=[24, 40, 112, 320],
        in_index=[0, 1, 2, 3],
        channels=64,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, avg_non_ignore=False),
    ),
    test_cfg=dict(mode='whole'),
)
