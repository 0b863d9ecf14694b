# DAFormer's way to train (rare-class sampling, feature distance, ClassMix), with the small network.
_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/uda/daformer.py',
]
model = dict(student={{_base_.segmentor}}, ema={{_base_.short_ema}})
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}}, source_sampling={{_base_.small_sampling}}
)
