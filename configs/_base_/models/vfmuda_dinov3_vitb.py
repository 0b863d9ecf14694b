# The decoder of VFM-UDA on DINOv3 ViT-B (Siméoni et al. 2025, arXiv 2508.10104). Its patches have 16 pixels: a crop of
# 1024 is 64 x 64 of them, and nothing is resized. For other sizes set the name (vit_small_patch16_dinov3.lvd1689m,
# vit_large_patch16_dinov3.lvd1689m), the last block (11 and 23) and in_channels (384 and 1024).
# Weights are under the DINOv3 License of Meta, which the user accepts on timm's hub
# (timm/vit_base_patch16_dinov3.lvd1689m) or at https://github.com/facebookresearch/dinov3. Offline: name the file with
# `--cfg-options model.student.backbone.checkpoint=FILE`.
_base_ = ['vfmuda_vitb.py']

segmentor = dict(
    backbone=dict(
        _delete_=True,
        type='TimmViT',
        name='vit_base_patch16_dinov3.lvd1689m',
        # The normalised tokens of the last block.
        out_indices=[11],
        stride=16,
        # DINOv3 comes without a mask token: it is learned from 0.
        mask_token=True,
        pretrained=True,
    )
)
