# vfmuda_dinov3_vitb.py with ViT-L.
_base_ = ['vfmuda_dinov3_vitb.py']

segmentor = dict(
    # The last of 24 blocks.
    backbone=dict(name='vit_large_patch16_dinov3.lvd1689m', out_indices=(23,)),
    decode_head=dict(in_channels=1024),
)
