# QuadMix without masked pass and feature distance: what mixing in four directions and the long tail do alone.
_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/uda/quadmix.py',
]
model = dict(
    student={{_base_.segmentor}},
    ema={{_base_.short_ema}},
    mixing={{_base_.small_mixing}},
    feature_distance=None,
    masking=None,
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}}, source_sampling={{_base_.small_sampling}}
)
