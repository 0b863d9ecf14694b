# Images at full resolution with crops of 1024, as of HRDA, MIC and QuadMix. The target is Cityscapes; other targets
# replace target_pipeline and test_pipeline.
_base_ = ['loaders.py']
target_scale = (2048, 1024)
crop_size = (1024, 1024)

# A source pipeline is load_source, a resize and crop_source.
load_source = [dict(type='LoadImage'), dict(type='LoadLabels')]
crop_source = [
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# What QuadMix pastes is load_source and crop_long_tail, as in its code: images of 2048x1024 whatever their aspect
# ratio, resized by Pillow. They are not flipped, and one class may fill the crop.
crop_long_tail = [
    dict(type='Resize', scale=(2048, 1024), backend='pillow'),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='PackUDAInputs'),
]
long_tail_pipeline = load_source + crop_long_tail
crop_target = [
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    # Before the crop: a crop from the middle of the image keeps all pixels (HRDA).
    dict(type='PseudoMargins'),
    *crop_target,
]
# After Resize: predictions are compared at the size of the published labels.
load_truth = [dict(type='LoadLabels'), dict(type='PackUDAInputs')]
test_pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=target_scale, keep_ratio=True), *load_truth]
train_dataloader = dict(target=dict(dataset=dict(pipeline=target_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
