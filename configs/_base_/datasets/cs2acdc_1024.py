# Cityscapes (clear, by day) -> ACDC (fog, night, rain, snow) at full resolution with crops of 1024.
source_root = 'data/cityscapes'
target_root = 'data/acdc'
source_scale = (2048, 1024)
target_scale = (1920, 1080)
crop_size = (1024, 1024)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='Resize', scale=source_scale, keep_ratio=True),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# What QuadMix pastes, as in its code: resized by Pillow, not flipped, and one class may fill the crop.
long_tail_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='Resize', scale=(2048, 1024), backend='pillow'),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    # After Resize: predictions are compared at the size of the published labels.
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
train_dataloader = dict(
    source=dict(
        batch_size=2,
        num_workers=4,
        dataset=dict(type='Cityscapes', data_root=source_root, split='train', pipeline=source_pipeline),
    ),
    target=dict(
        batch_size=2,
        num_workers=4,
        dataset=dict(type='ACDC', data_root=target_root, split='train', labelled=False, pipeline=target_pipeline),
    ),
)
val_dataloader = dict(
    # The scores of one 1920x1080 image take what a batch of crops takes.
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ACDC', data_root=target_root, split='val', test_mode=True, pipeline=test_pipeline),
)
# The published numbers are those of the test split, whose labels the server keeps: tools/test.py --submission.
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric')
test_evaluator = val_evaluator
