# DACS with as much time as QuadMix takes: it has one mixed pass where QuadMix has two, and no long-tail images.
_base_ = './camvid_day2dusk_dacs.py'
max_iters = 900
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=40),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
