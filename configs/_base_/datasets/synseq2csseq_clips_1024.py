# synseq2csseq_frames_1024.py with the frame before each and the flow between them, for HRDA on two frames.
_base_ = ['synseq2csseq_frames_1024.py', '../pipelines/clips_1024.py']

source_pipeline = [
    *_base_.load_source_clip,
    dict(type='ClipResize', scale=(2560, 1520), keep_ratio=True),
    _base_.load_flow,
    # The car that carries the camera.
    dict(type='CutBottomRows', rows=120, height=760),
    *_base_.crop_source_clip,
]
train_dataloader = dict(
    source=dict(dataset=dict(pipeline=source_pipeline)),
    target=dict(dataset=dict(pipeline=_base_.target_clip_pipeline)),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_clip_pipeline))
test_dataloader = val_dataloader
