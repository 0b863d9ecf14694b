# GTA -> Cityscapes at the sizes of VFM-UDA.
_base_ = ['../pipelines/images_vfm.py']

# The published sizes of some images and their labels differ by a few pixels.
load_source = [dict(type='LoadImage'), dict(type='LoadLabels', max_size_difference=16)]
source_pipeline = [
    *load_source,
    # Larger than the target, so that objects are as large as there (as in HRDA).
    dict(type='RandomResize', resize_type='ResizeToCover', scale=(1440, 1440), ratio_range=(0.9, 1.1)),
    *_base_.crop_source,
]
# 3 % of the height at the top and of the width at the sides, a quarter of the height at the bottom (VFM-UDA).
margins = dict(size=(2048, 1024), top=30, bottom=256, left=61, right=61)
train_dataloader = dict(
    source=dict(dataset=dict(type='GTA', data_root='data/gta', pipeline=source_pipeline)),
    target=dict(
        dataset=dict(
            type='Cityscapes', data_root='data/cityscapes', split='train', metainfo=dict(pseudo_margins=margins)
        )
    ),
)
val_dataloader = dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='val'))
test_dataloader = val_dataloader
