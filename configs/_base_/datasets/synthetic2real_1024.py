# GTA, SYNTHIA and Synscapes -> Cityscapes, BDD100K, Mapillary Vistas, ACDC and Dark Zurich: "all synthetic to all real"
# of VFM-UDA++ (arXiv 2503.10685), crops of 1024. Tested on Cityscapes and on WildDash 2, which is no target.
_base_ = ['../pipelines/images_vfm.py']

gta_pipeline = [
    # The published sizes of some images and their labels differ by a few pixels.
    dict(type='LoadImage'),
    dict(type='LoadLabels', max_size_difference=16),
    # As large as in HRDA.
    dict(type='RandomResize', resize_type='ResizeToCover', scale=(1440, 1440), ratio_range=(0.9, 1.1)),
    *_base_.crop_source,
]
synscapes_pipeline = [
    dict(type='LoadImage'),
    # The images of 2048x1024 share the labels of those of 1440x720.
    dict(type='LoadLabels', max_size_difference=608),
    _base_.resize,
    *_base_.crop_source,
]
target_pipeline = [
    dict(type='LoadImage'),
    _base_.resize,
    # Of every target alike, before the crop: bonnets below, borders of rectified images around.
    dict(type='PseudoMargins', shares=dict(top=0.03, bottom=0.25, left=0.03, right=0.03)),
    *_base_.crop_target,
]
target = dict(labelled=False, pipeline=target_pipeline)
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='ConcatDataset',
            datasets=[
                dict(type='GTA', data_root='data/gta', pipeline=gta_pipeline),
                dict(type='Synthia', data_root='data/synthia', pipeline=_base_.source_pipeline),
                dict(
                    type='Synscapes',
                    data_root='data/synscapes',
                    image_folder='img/rgb-2k',
                    pipeline=synscapes_pipeline,
                ),
            ],
        )
    ),
    target=dict(
        dataset=dict(
            _delete_=True,
            type='ConcatDataset',
            datasets=[
                dict(type='Cityscapes', data_root='data/cityscapes', split='train', **target),
                dict(type='BDD100K', data_root='data/bdd100k', split='train', **target),
                dict(type='Mapillary', data_root='data/mapillary', split='training', **target),
                dict(type='ACDC', data_root='data/acdc', split='train', **target),
                # Day, twilight and night: all images of the folder.
                dict(
                    type='DarkZurich',
                    data_root='data/dark_zurich',
                    split='train',
                    image_folder='rgb_anon/train',
                    **target,
                ),
            ],
        )
    ),
)
test = dict(test_mode=True, pipeline=_base_.test_pipeline)
val_dataloader = dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='val', **test))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        names=['Cityscapes', 'WildDash2'],
        datasets=[
            dict(type='Cityscapes', data_root='data/cityscapes', split='val', **test),
            dict(type='WildDash2', data_root='data/wilddash2', **test),
        ],
    )
)
