# QuadMix on a transformer from scratch. It needs more iterations than the ResNet of streets_quadmix.py.
_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets_game2camera.py',
    '_base_/models/small_segformer_mitb0.py',
    '_base_/uda/quadmix_small.py',
    '_base_/schedules/small_scratch.py',
]
max_iters = 2000
# Why these are left out: see streets_quadmix.py.
model = dict(student={{_base_.segmentor}}, feature_distance=None, masking=None)
# A transformer without pretraining does not stand the rate of a network with batch norm.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=40),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
