# Clips of the built-in street scenes, from game (labelled) to camera (labels never read), with exact flow; tested on
# unseen camera clips. `python tools/make_streets.py --clips` writes them.
data_root = 'data/streets'
# Two thirds of the written 384x192: what two CPU cores train in minutes. Testing is at the full size of the labels.
scale = (256, 128)
crop_size = (128, 192)
# The files are written with the clips; nothing is computed or kept.
flow_cache = dict(
    type='FlowCache', folder=None, estimator=dict(type='PrecomputedFlow', naming='../flow/{current}_{other}.png')
)

source_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadClipLabels'),
    # At the size of the files, before anything is resized or cut off.
    dict(type='LoadFlow', cache=flow_cache),
    dict(type='ResizeToCover', scale=scale),
    dict(type='ClipCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
target_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadFlow', cache=flow_cache),
    dict(type='ResizeToCover', scale=scale),
    dict(type='ClipCrop', crop_size=crop_size),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
test_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadFlow', cache=flow_cache),
    dict(type='ResizeToCover', scale=scale),
    # After the resize: predictions are compared at the size of the written labels.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
train_dataloader = dict(
    source=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(type='StreetsClips', data_root=data_root, domain='game', split='train', pipeline=source_pipeline),
    ),
    target=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='StreetsClips',
            data_root=data_root,
            domain='camera',
            split='train',
            labelled=False,
            # The written flow leads to the two frames before, which is what a past pair of t-1 and t-2 needs.
            past=1,
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='StreetsClips', data_root=data_root, domain='camera', split='val', test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='ClassIoUMetric'),
    # The written flow files mark which pixels the frame before shows, too.
    dict(type='TemporalConsistency', flow=flow_cache),
]
test_evaluator = val_evaluator
