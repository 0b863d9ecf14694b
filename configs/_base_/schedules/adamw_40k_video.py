# The schedule of the video network with a Mix Transformer. Unlike on images (adamw_40k.py), the decay starts where the
# warm-up ends.
_base_ = ['adamw_40k_mit.py']

# What joins the logits of two frames is a part of the decoder.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(fusion=dict(lr_mult=10.0))))
# mmengine reaches the last value at step end - 1: the full rate at iteration 1500, zero at 40,000.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=40001),
]
