_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/streets2camvid.py',
    '_base_/uda/dacs.py',
]
model = dict(student={{_base_.segmentor}}, ema={{_base_.short_ema}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
