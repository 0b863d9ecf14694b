# DINOv2 ViT-B (Oquab et al. 2023, arXiv 2304.07193) under DAFormer's head; the variant with registers, whose dense
# features are cleaner (Darcet et al. 2024, arXiv 2309.16588).
# Weights: timm's hub (timm/vit_base_patch14_reg4_dinov2.lvd142m), or the authors' own
# https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth. Offline: fetch either elsewhere
# and name the file with `--cfg-options model.student.backbone.checkpoint=FILE`.
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
        type='TimmViT',
        name='vit_base_patch14_reg4_dinov2.lvd142m',
        # Evenly over the twelve blocks; the last one is among them.
        out_indices=(2, 5, 8, 11),
        # A crop of 512 is seen as 32 x 32 patches of 14 pixels.
        stride=16,
        pretrained=True,
        drop_path_rate=0.1,
    ),
    # A ViT has one scale: levels of strides 4, 8, 16, 32 are made of it.
    neck=dict(type='MultiLevelNeck', in_channels=[768, 768, 768, 768], out_channels=256, scales=[4, 2, 1, 0.5]),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=[256, 256, 256, 256],
        num_classes=19,
        embed_channels=256,
        channels=256,
        fusion='aspp',
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
    ),
    test_cfg=dict(mode='whole'),
)
