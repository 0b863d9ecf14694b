# The schedule of VFM-UDA: AdamW, 40,000 iterations.
max_iters = 40000
optim_wrapper = dict(
    type='OptimWrapper',
    # For a batch of one image, see auto_scale_lr. Everything decays, norms and biases included.
    # fused: one pass over each parameter and its moments.
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
    # The head starts from nothing, the ViT from pretrained weights.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    # Four times two images of each domain make the published 8. On four GPUs set 1, on two GPUs 2. Video, with one clip
    # of each domain in a batch, has half of it.
    accumulative_counts=4,
)
# The published rate is 5e-5 times the root of the batch of all processes: 1.41e-4 for the published 8.
auto_scale_lr = dict(enable=True, base_batch_size=1, rule='sqrt')
# Iteration i has the share 1e-3 + 0.999 * i / 1499 of the rate up to 1499, and 1 - i / 40,000 from 1500 on, as in
# models/warmup_and_linear_scheduler.py of the published code: from the last iteration of the warm-up to the next one
# the rate drops from 1 to 0.9625. mmengine reaches the last value at step end - 1.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1500),
    dict(type='LinearLR', start_factor=0.9625, end_factor=0.0, by_epoch=False, begin=1500, end=max_iters + 1),
]
