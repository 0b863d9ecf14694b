# SYNTHIA -> Cityscapes at the sizes of DAFormer: Cityscapes at half resolution, crops of 512.
_base_ = ['../pipelines/images_512.py', 'synthia_protocols.py']

source_pipeline = [
    *_base_.load_source,
    # The published size.
    dict(type='Resize', scale=(1280, 760), keep_ratio=True),
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
