# Images and crops of VFM-UDA and VFM-UDA++: every image at a size of its own, crops of 1024. The data sets and the
# margins of the target stand in the files of the benchmarks.
_base_ = ['loaders.py']

# The shorter side becomes 1024 pixels, times a factor of the image's own (GTA has 1440, see datasets/gta2cs_vfm.py).
resize = dict(type='RandomResize', resize_type='ResizeToCover', scale=(1024, 1024), ratio_range=(0.9, 1.1))
# What is added to images that became smaller than the crop is ignored.
pad = dict(type='PadToCover', scale=(1024, 1024))

load_source = [dict(type='LoadImage'), dict(type='LoadLabels')]
crop_source = [
    pad,
    # No class may fill more than 3/4 of a crop.
    dict(type='RareClassCrop', crop_size=(1024, 1024), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
source_pipeline = [*load_source, resize, *crop_source]
crop_target = [
    pad,
    dict(type='RareClassCrop', crop_size=(1024, 1024)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# Margins come before the crop, as they are those of the image.
target_pipeline = [dict(type='LoadImage'), resize, dict(type='PseudoMargins'), *crop_target]
# LoadLabels comes last: predictions are compared at the size of the published labels.
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeToCover', scale=(1024, 1024)),
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
train_dataloader = dict(
    source=dict(dataset=dict(pipeline=source_pipeline)), target=dict(dataset=dict(pipeline=target_pipeline))
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
