# Short runs of a small pretrained network on a CPU. With so few iterations a high rate pays: the oracle on CamVid's
# dusk reaches after 250 iterations at 3e-3 what takes it 400 at 1e-3.
max_iters = 600
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, betas=(0.9, 0.999), weight_decay=0.01),
    # The decoder starts from nothing.
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=2.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=40),
    # From iteration 0, times the warm-up.
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
