_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets_video.py',
    '_base_/models/small_video_resnet10t.py',
    '_base_/uda/quadmix_video.py',
    '_base_/schedules/small_scratch.py',
]
model = dict(
    student={{_base_.segmentor}},
    # The published 0.999 remembers a thousand iterations, more than this run has.
    ema=dict(alpha=0.99),
    # lambda_T as published for VIPER, the other game: a teacher that starts from nothing labels badly at first.
    cross_frame=dict(scale=0.2),
    mixing=dict(tst_scale=0.2),
    # As on images, whose runs of this size need it.
    photometric=dict(type='PhotometricChange', operations='torchvision'),
)
# Fewer iterations than source-only and oracle have (450): with four passes of two frames each, this is what fits into
# twelve minutes.
max_iters = 300
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=40),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(
    max_iters=max_iters,
    val_interval=max_iters,
    # As in streets_quadmix.py.
    source_sampling=dict(
        type='RareClassDataset', temperature=0.01, min_pixels=3000, reference_size=(1914, 1052), crop_fraction=0.5
    ),
)
