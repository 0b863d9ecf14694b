# vfmudapp_vitb.py with ViT-L.
_base_ = ['vfmudapp_vitb.py']

segmentor = dict(
    backbone=dict(name='vit_large_patch14_dinov2.lvd142m'), decode_head=dict(in_channels=[1024, 1024, 1024, 1024])
)
