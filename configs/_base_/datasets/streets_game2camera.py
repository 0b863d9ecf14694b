# The built-in street scenes, from game (labelled) to camera (labels never read); tested on unseen camera images.
# `make data` or tools/make_streets.py writes them.
data_root = 'data/streets'
# Two thirds of the written 384x192: what two CPU cores train in minutes. Testing is at the full size of the labels.
# Pictures of other proportions, as of one's own target, keep theirs and cover this size, so that the crop fits.
scale = (256, 128)
crop_size = (128, 192)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='ResizeToCover', scale=scale),
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeToCover', scale=scale),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeToCover', scale=scale),
    # After the resize: predictions are compared at the size of the written labels.
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
train_dataloader = dict(
    source=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='StreetsDataset', data_root=data_root, domain='game', split='train', pipeline=source_pipeline
        ),
    ),
    target=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='StreetsDataset',
            data_root=data_root,
            domain='camera',
            split='train',
            labelled=False,
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='StreetsDataset', data_root=data_root, domain='camera', split='val', test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric')
test_evaluator = val_evaluator
