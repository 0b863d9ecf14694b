# viper2csseq_frames_1024.py with the frame before each and the flow between them, for HRDA on two frames. What is not
# said here is as there.
_base_ = ['viper2csseq_frames_1024.py']

# Flow is computed once per pair and size, by DIS, and kept; see viper2csseq.py for published flow.
flow_cache = {{_base_.evaluation_flow}}

source_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadClipLabels'),
    dict(type='ClipResize', scale={{_base_.source_scale}}, keep_ratio=True),
    # Of whole frames, before anything is cut off.
    dict(type='LoadFlow', cache=flow_cache),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='ClipCrop', crop_size={{_base_.crop_size}}, cat_max_ratio=0.75),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
target_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale={{_base_.target_scale}}, keep_ratio=True),
    dict(type='LoadFlow', cache=flow_cache),
    # Before the crop: a crop from the middle of the image keeps all pixels (HRDA).
    dict(type='PseudoMargins'),
    dict(type='ClipCrop', crop_size={{_base_.crop_size}}),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
test_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale={{_base_.target_scale}}, keep_ratio=True),
    dict(type='LoadFlow', cache=flow_cache),
    # After ClipResize: predictions are compared at the size of the published labels.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
train_dataloader = dict(
    source=dict(dataset=dict(pipeline=source_pipeline)), target=dict(dataset=dict(pipeline=target_pipeline))
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
