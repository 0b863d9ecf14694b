# Cityscapes (clear, by day) -> ACDC (fog, night, rain, snow) at full resolution with crops of 1024.
_base_ = ['../pipelines/images_1024.py']

resize = dict(type='Resize', scale=(1920, 1080), keep_ratio=True)
source_pipeline = [
    *_base_.load_source,
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    *_base_.crop_source,
]
# All pixels of this target are trusted, whose images have no bonnet (HRDA, MIC).
target_pipeline = [dict(type='LoadImage'), resize, *_base_.crop_target]
test_pipeline = [dict(type='LoadImage'), resize, *_base_.load_truth]
target = dict(type='ACDC', data_root='data/acdc')
train_dataloader = dict(
    source=dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='train', pipeline=source_pipeline)),
    target=dict(dataset=dict(**target, split='train', pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(**target, split='val', pipeline=test_pipeline))
# The published numbers are those of the test split, whose labels the server keeps: udass test --submission.
test_dataloader = val_dataloader
