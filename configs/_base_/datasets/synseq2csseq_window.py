# synseq2csseq.py with a random window of each source frame, of the size of the target frames: what QuadMix lays over
# them. Unlike in the published code, its source pass learns from the window, too, and not from the whole frame: so
# the loader cuts it, and does not read what is not shown.
_base_ = ['synseq2csseq.py']

source_pipeline = [
    dict(type='LoadClip'),
    # Both frames.
    dict(type='LoadClipLabels'),
    dict(type='ClipResize', scale={{_base_.source_scale}}),
    # Of whole frames, before anything is cut off.
    dict(type='LoadFlow', cache={{_base_.flow_cache}}),
    # The car that carries the camera: as much of the frame as in the benchmark.
    dict(type='CutBottomRows', rows=120, height=760),
    dict(type='ClipCrop', crop_size=(512, 1024)),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
train_dataloader = dict(source=dict(dataset=dict(pipeline=source_pipeline)))
