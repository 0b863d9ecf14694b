# HRDA (Hoyer et al. 2022, arXiv 2204.13132): the step of DAFormer for crops of 1024. What HRDA is about, context and
# detail, is a network: _base_/models/hrda_*.py.
_base_ = ['daformer.py']

# At twice DAFormer's size a class covers four times as many pixels.
train_cfg = dict(source_sampling=dict(crop_fraction=2))
