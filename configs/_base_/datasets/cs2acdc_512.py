# Cityscapes -> ACDC at the sizes of DAFormer: half resolution, crops of 512.
_base_ = ['../pipelines/images_512.py']

resize = dict(type='Resize', scale=(960, 540), keep_ratio=True)
source_pipeline = [
    *_base_.load_source,
    dict(type='Resize', scale=(1024, 512), keep_ratio=True),
    *_base_.crop_source,
]
target_pipeline = [
    dict(type='LoadImage'),
    resize,
    dict(type='RareClassCrop', crop_size=_base_.crop_size),
    # After the crop: DAFormer trusts no pseudo-label in the upper 15 and the lower 120 rows of a crop, here too (its
    # experiments.py, id 8). HRDA and MIC trust all pixels of this target, whose images have no bonnet.
    dict(type='PseudoMargins'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
test_pipeline = [dict(type='LoadImage'), resize, *_base_.load_truth]
target = dict(type='ACDC', data_root='data/acdc')
train_dataloader = dict(
    source=dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='train', pipeline=source_pipeline)),
    target=dict(
        dataset=dict(
            **target,
            split='train',
            metainfo=dict(pseudo_margins=dict(size=_base_.crop_size, top=15, bottom=120, left=0, right=0)),
            pipeline=target_pipeline,
        )
    ),
)
val_dataloader = dict(dataset=dict(**target, split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
