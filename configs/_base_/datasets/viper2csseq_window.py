# viper2csseq.py with a random window of each source frame, of the size of the target frames: what QuadMix lays over
# them. Unlike in the published code, its source pass learns from the window, too, and not from the whole frame: so
# the loader cuts it, and does not read what is not shown.
_base_ = ['viper2csseq.py']

source_pipeline = [
    dict(type='LoadClip'),
    # Both frames; the car that carries the camera is ignored.
    dict(type='LoadClipLabels'),
    dict(type='ClipResize', scale={{_base_.source_scale}}),
    # At the size that is trained with, before anything is cut off.
    dict(type='LoadFlow', cache={{_base_.flow_cache}}),
    dict(type='ClipCrop', crop_size=(512, 1024)),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
train_dataloader = dict(source=dict(dataset=dict(pipeline=source_pipeline)))
