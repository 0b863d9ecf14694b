_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/models/small_effnet_lite0.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/small.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters=400, val_interval=400)
