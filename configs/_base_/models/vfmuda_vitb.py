# The network of VFM-UDA (Englert et al. 2024, arXiv 2406.09896) with ViT-B; vfmuda_vits.py and vfmuda_vitl.py have the
# other sizes.
_base_ = ['dinov2_vitb.py']

# For the masked pass.
segmentor = dict(backbone=dict(mask_token=True))
