# Pipelines of clips at the sizes of frames_1024.py, for HRDA on two frames: with the frame before each and the flow
# between them.
# Flow is computed once per pair and size, by DIS, and stored; see clips_512.py for published flow.
flow_cache = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))

load_source_clip = [dict(type='LoadClip'), dict(type='LoadClipLabels')]
# Of whole frames, before anything is cut off.
load_flow = dict(type='LoadFlow', cache=flow_cache)
crop_source_clip = [
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='ClipCrop', crop_size=(1024, 1024), cat_max_ratio=0.75),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
target_clip_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale=(2048, 1024), keep_ratio=True),
    load_flow,
    # Before the crop: a crop from the middle of the image keeps all pixels (HRDA).
    dict(type='PseudoMargins'),
    dict(type='ClipCrop', crop_size=(1024, 1024)),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
test_clip_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale=(2048, 1024), keep_ratio=True),
    load_flow,
    # After ClipResize: predictions are compared at the size of the published labels.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
