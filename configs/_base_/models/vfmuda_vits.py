# vfmuda_vitb.py with ViT-S.
_base_ = ['vfmuda_vitb.py']

segmentor = dict(
    backbone=dict(
        name='vit_small_patch14_dinov2.lvd142m',
        checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth',
    ),
    decode_head=dict(in_channels=384),
)
