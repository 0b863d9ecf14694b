_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/uda/source_only.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
