# The schedule of MinEnt and AdvSeg, and of the source-only network beside them: SGD, 40,000 iterations, and one rate
# for backbone and decoder.
max_iters = 40000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=5e-4))
# mmengine reaches the last value at step end - 1: with one step more the warm-up is complete at iteration 1500 and the
# rate zero at 40,000, as in the reference.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    # From iteration 0, times the warm-up: 0.9625 of the base rate at 1500.
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
