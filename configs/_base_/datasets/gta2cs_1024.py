# GTA -> Cityscapes at full resolution with crops of 1024: HRDA, MIC, QuadMix.
_base_ = ['../pipelines/images_1024.py']

# The published sizes of some images and their labels differ by a few pixels.
load_source = [dict(type='LoadImage'), dict(type='LoadLabels', max_size_difference=16)]
source_pipeline = [
    *load_source,
    # Within this size at the aspect ratio of the file, as the reference resizes: 1914x1052 becomes 2560x1407.
    dict(type='Resize', scale=(2560, 1440), keep_ratio=True),
    *_base_.crop_source,
]
long_tail_pipeline = load_source + _base_.crop_long_tail
train_dataloader = dict(
    source=dict(dataset=dict(type='GTA', data_root='data/gta', pipeline=source_pipeline)),
    target=dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='train')),
)
val_dataloader = dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='val'))
test_dataloader = val_dataloader
