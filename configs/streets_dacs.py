_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets_game2camera.py',
    '_base_/models/small_resnet10t.py',
    '_base_/uda/dacs.py',
    '_base_/schedules/small_scratch.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
