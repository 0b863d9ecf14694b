# Cityscapes -> ACDC at the sizes of DAFormer: half resolution, crops of 512. What is not said here is as in
# cs2acdc_1024.py.
_base_ = ['cs2acdc_1024.py']

source_scale = (1024, 512)
target_scale = (960, 540)
crop_size = (512, 512)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='Resize', scale=source_scale, keep_ratio=True),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    dict(type='RareClassCrop', crop_size=crop_size),
    # After the crop: DAFormer trusts no pseudo-label in the upper 15 and the lower 120 rows of a crop, here too (its
    # experiments.py, id 8). HRDA and MIC trust all pixels of this target, which shows no bonnet.
    dict(type='PseudoMargins'),
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
    source=dict(dataset=dict(pipeline=source_pipeline)),
    target=dict(
        dataset=dict(
            metainfo=dict(pseudo_margins=dict(size=crop_size, top=15, bottom=120, left=0, right=0)),
            pipeline=target_pipeline,
        )
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
