# SYNTHIA -> Cityscapes at full resolution with crops of 1024: HRDA, MIC, QuadMix.
_base_ = ['../pipelines/images_1024.py', 'synthia_protocols.py']

source_pipeline = [
    *_base_.load_source,
    # Twice the published size: the objects are then as large as in Cityscapes at 2048x1024.
    dict(type='Resize', scale=(2560, 1520), keep_ratio=True),
    *_base_.crop_source,
]
train_dataloader = dict(
    source=dict(dataset=dict(type='Synthia', data_root='data/synthia', pipeline=source_pipeline)),
    target=dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='train')),
)
val_dataloader = dict(
    dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='val', metainfo=dict(protocols=_base_.protocols))
)
test_dataloader = val_dataloader
