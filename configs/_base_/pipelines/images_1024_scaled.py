# Images at random scales with crops of 1024, as of VFM-UDA and VFM-UDA++: whatever their sizes, their short sides
# become 0.9 to 1.1 times the height of Cityscapes. Other sources replace the resize of source_pipeline.
_base_ = ['images_1024.py']
scale = (1024, 1024)
resize = dict(type='RandomResize', resize_type='ResizeToCover', scale=scale, ratio_range=(0.9, 1.1))
# Below 1 the crop is larger than the image.
pad = dict(type='PadToCover', scale=scale)

crop_source = [
    pad,
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=scale, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
source_pipeline = [*_base_.load_source, resize, *crop_source]
target_pipeline = [
    dict(type='LoadImage'),
    resize,
    # Of every target alike, before the crop: bonnets below, borders of rectified images around.
    dict(type='PseudoMargins', shares=dict(top=0.03, bottom=0.25, left=0.03, right=0.03)),
    pad,
    *_base_.crop_target,
]
# The labels keep their size, at which predictions are compared; the published code resizes them, too.
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeToCover', scale=scale), *_base_.load_truth]
train_dataloader = dict(target=dict(dataset=dict(pipeline=target_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
