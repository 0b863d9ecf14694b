# DeepLabV2 on ResNet-101-v1c at output stride 8, with the reduced head that domain adaptation papers use.
# ImageNet weights: fetched once from the URL below. Offline: put the file into torch's hub folder
# (~/.cache/torch/hub/checkpoints), or name your copy with
# `--cfg-options model.student.backbone.init_cfg.checkpoint=FILE`.
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
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        # The first block of a dilated stage keeps the dilation of the stage before it.
        contract_dilation=True,
        norm_cfg=dict(type='BN'),
        style='pytorch',
        init_cfg=dict(
            type='StrictPretrained',
            checkpoint='https://mmassets.onedl.ai/pretrain/third_party/resnet101_v1c-e67eebb6.pth',
        ),
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=2048,
        num_classes=19,
        # The original DeepLabV2 has (6, 12, 18, 24).
        dilations=(6, 12),
    ),
    test_cfg=dict(mode='whole'),
)
