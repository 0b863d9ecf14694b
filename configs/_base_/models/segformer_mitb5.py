# SegFormer on MiT-B5 (Xie et al. 2021, arXiv 2105.15203); segformer_mitb0.py is the smallest variant.
# ImageNet weights: fetched once from the URL below. Offline: put the file into torch's hub folder
# (~/.cache/torch/hub/checkpoints), or name your copy with
# `--cfg-options model.student.backbone.init_cfg.checkpoint=FILE`; the authors' own mit_b5.pth serves as well.
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
        type='MiT',
        variant='b5',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='StrictPretrained',
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b5_20220624-658746d9.pth',
        ),
    ),
    decode_head=dict(
        type='SegFormerMLPHead', in_channels=[64, 128, 320, 512], channels=768, num_classes=19, dropout_ratio=0.1
    ),
    test_cfg=dict(mode='whole'),
)
