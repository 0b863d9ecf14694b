# vfmuda_vitb.py with ViT-L.
_base_ = ['vfmuda_vitb.py']

segmentor = dict(
    backbone=dict(
        name='vit_large_patch14_dinov2.lvd142m',
        checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth',
    ),
    decode_head=dict(in_channels=1024),
)
