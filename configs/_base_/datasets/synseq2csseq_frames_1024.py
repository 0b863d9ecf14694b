# synseq2csseq.py frame by frame for image methods: full resolution, crops of 1024, as in gta2cs_1024.py.
_base_ = ['../pipelines/frames_1024.py']

source_pipeline = [
    *_base_.load_source,
    dict(type='Resize', scale=(2560, 1520), keep_ratio=True),
    # The car that carries the camera.
    dict(type='CutBottomRows', rows=120, height=760),
    *_base_.crop_source,
]
target = dict(benchmark='synthia_seq')
train_dataloader = dict(
    source=dict(dataset=dict(type='SynthiaSeq', data_root='data/synthia_seq', pipeline=source_pipeline)),
    target=dict(dataset=target),
)
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
