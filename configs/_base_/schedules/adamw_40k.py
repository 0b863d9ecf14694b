# The schedule of the self-training methods: AdamW, 40,000 iterations. For convolutional networks: everything decays, as
# in the reference; for transformers see adamw_40k_mit.py and adamw_40k_vfmuda.py.
max_iters = 40000
optim_wrapper = dict(
    type='OptimWrapper',
    # fused: one pass over each parameter and its moments, twice as fast on a CPU.
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
    # The decoder (HRDA's scale attention is a part of it) starts from nothing, the backbone from pretrained weights.
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
# mmengine reaches the last value at step end - 1: with one step more the warm-up is complete at iteration 1500 and the
# rate zero at 40,000, as in the reference.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    # From iteration 0, times the warm-up: 0.9625 of the base rate at 1500.
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
