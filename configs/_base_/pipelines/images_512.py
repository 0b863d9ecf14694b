# Images at the sizes of DAFormer and its predecessors: half resolution, crops of 512. The target is Cityscapes; other
# targets replace target_pipeline and test_pipeline.
_base_ = ['loaders.py']
target_scale = (1024, 512)
crop_size = (512, 512)

# A source pipeline is load_source, a resize and crop_source.
load_source = [dict(type='LoadImage'), dict(type='LoadLabels')]
crop_source = [
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    # DAFormer trusts no pseudo-label in the upper 15 and the lower 120 rows; its crops have the full height.
    dict(type='PseudoMargins', sides=['top', 'bottom']),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# After Resize: predictions are compared at the size of the published labels.
load_truth = [dict(type='LoadLabels'), dict(type='PackUDAInputs')]
test_pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=target_scale, keep_ratio=True), *load_truth]
train_dataloader = dict(target=dict(dataset=dict(pipeline=target_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
