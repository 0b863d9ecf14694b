# QuadMix as published, with masked pass and feature distance, which camvid_day2dusk_quadmix.py leaves out.
_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/models/small_effnet_lite0.py',
    '_base_/uda/quadmix_small.py',
    '_base_/schedules/small_finetune.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
