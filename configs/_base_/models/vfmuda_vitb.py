# The network of VFM-UDA (Englert et al. 2024, arXiv 2406.09896) with ViT-B; vfmuda_vits.py and vfmuda_vitl.py have the
# other sizes.
_base_ = ['dinov2_vitb.py']

# The masked pass needs the mask token, which the files of DINOv2's authors hold and those of timm's hub do not.
segmentor = dict(
    backbone=dict(
        mask_token=True,
        checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth',
    )
)
