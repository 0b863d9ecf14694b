# DINOv2 ViT-B without registers (Oquab et al. 2023, arXiv 2304.07193) under the light decoder of VFM-UDA (Englert et
# al. 2024, arXiv 2406.09896).
# Weights: timm's hub (timm/vit_base_patch14_dinov2.lvd142m), or the authors' own
# https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth, which also holds their mask token.
# The latter are those of vfmuda_vitb.py. Offline: fetch either elsewhere and name the file with
# `--cfg-options model.student.backbone.checkpoint=FILE`.
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
        type='DINOv2',
        name='vit_base_patch14_dinov2.lvd142m',
        # A crop of 1024 is enlarged to 1120, 80 x 80 patches of 14 pixels.
        multiple=224,
        pretrained=True,
    ),
    decode_head=dict(
        type='UpscalingHead',
        in_channels=768,
        num_classes=19,
        # The source is averaged over its labelled pixels, what pseudo-labels are in over all.
        loss_decode=dict(type='ValidCrossEntropy', weighted_over_all=True),
    ),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512), max_batch=4),
)
