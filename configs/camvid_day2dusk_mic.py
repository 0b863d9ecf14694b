# MIC's way to train (DAFormer's and the masked pass), with the small network instead of HRDA.
_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/uda/mic.py',
]
model = dict(
    student={{_base_.segmentor}},
    ema={{_base_.short_ema}},
    masking={{_base_.small_masking}},
    # The published transformers have no batch norm in the backbone; see docs/watching.md.
    masked_statistics=False,
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}}, source_sampling={{_base_.small_sampling}}
)
