# The network of VFM-UDA++ (Englert and Dubbelman 2025, arXiv 2503.10685): a ViT-Adapter around DINOv2 ViT-B without
# registers, under a pyramid decoder. vfmudapp_vits.py and vfmudapp_vitl.py have the other sizes.
# Weights of the ViT: as in vfmuda_vitb.py. The adapter of the published runs was trained on ImageNet-1k before; its
# checkpoints are converted by `udass convert`, see docs/checkpoints.md. Without them it starts from nothing.
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
    # A crop of 1024 is enlarged to 1120, a multiple of 32 and of the patches of 14 pixels.
    backbone=dict(type='ViTAdapter', name='vit_base_patch14_dinov2.lvd142m', pretrained=True),
    decode_head=dict(
        type='PyramidHead',
        in_channels=[768, 768, 768, 768],
        num_classes=19,
        # The source is averaged over its labelled pixels, what pseudo-labels are in over all.
        loss_decode=dict(type='ValidCrossEntropy', weighted_over_all=True),
    ),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512), max_batch=4),
)
