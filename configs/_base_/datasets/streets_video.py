# Clips of the built-in street scenes, from game (labelled) to camera (labels never read), with exact flow; tested on
# unseen camera clips. `udass streets --clips` writes them.
_base_ = ['../pipelines/small_loaders.py']
# Two thirds of the written 384x192: what two CPU cores train in minutes. Testing is at the full size of the labels.
resize = dict(type='ResizeToCover', scale=(256, 128))
crop_size = (128, 192)
# The files are written with the clips; nothing is computed or stored.
flow_cache = dict(
    type='FlowCache', folder=None, estimator=dict(type='PrecomputedFlow', naming='../flow/{current}_{other}.png')
)
# At the size of the files, before anything is resized or cut off.
load_flow = dict(type='LoadFlow', cache=flow_cache)

source_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadClipLabels'),
    load_flow,
    resize,
    dict(type='ClipCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
target_pipeline = [
    dict(type='LoadClip'),
    load_flow,
    resize,
    dict(type='ClipCrop', crop_size=crop_size),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
# After the resize: predictions are compared at the size of the written labels.
test_pipeline = [dict(type='LoadClip'), load_flow, resize, dict(type='LoadClipLabels'), dict(type='PackClip')]
streets = dict(type='StreetsClips', data_root='data/streets')
train_dataloader = dict(
    source=dict(dataset=dict(**streets, domain='game', split='train', pipeline=source_pipeline)),
    # The written flow leads to the two frames before, which is what a past pair of t-1 and t-2 needs.
    target=dict(dataset=dict(**streets, domain='camera', split='train', past=1, pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(**streets, domain='camera', split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='ClassIoUMetric'),
    # The written flow files mark which pixels are visible in the frame before, too.
    dict(type='TemporalConsistency', flow=flow_cache),
]
test_evaluator = val_evaluator
