# The built-in street scenes, from game (labelled) to camera (labels never read); tested on unseen camera images.
# `make data` or udass streets writes them.
_base_ = ['../pipelines/small_loaders.py']
# Two thirds of the written 384x192: what two CPU cores train in minutes. Testing is at the full size of the labels.
# Images of other proportions, as of one's own target, keep theirs and cover this size, so that the crop fits.
resize = dict(type='ResizeToCover', scale=(256, 128))
crop_size = (128, 192)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    resize,
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    resize,
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# After the resize: predictions are compared at the size of the written labels.
test_pipeline = [dict(type='LoadImage'), resize, dict(type='LoadLabels'), dict(type='PackUDAInputs')]
streets = dict(type='StreetsDataset', data_root='data/streets')
train_dataloader = dict(
    source=dict(dataset=dict(**streets, domain='game', split='train', pipeline=source_pipeline)),
    target=dict(dataset=dict(**streets, domain='camera', split='train', pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(**streets, domain='camera', split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
