# How far does a network get on streets that it was not adapted to? Test sets of the 19 classes, reported side by side.
# To be named beside the config of an experiment, which then tests on them: see docs/configs.md, "Several data sets".
generalisation_pipeline = [
    dict(type='LoadImage'),
    # The short side gets the height of Cityscapes, as in VFM-UDA++. Labels keep their size: predictions are compared
    # there.
    dict(type='ResizeToCover', scale=(1024, 1024)),
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
generalisation = dict(
    type='ConcatDataset',
    names=['Cityscapes', 'BDD100K', 'Mapillary', 'WildDash2'],
    datasets=[
        dict(
            type='Cityscapes',
            data_root='data/cityscapes',
            split='val',
            test_mode=True,
            pipeline=generalisation_pipeline,
        ),
        dict(type='BDD100K', data_root='data/bdd100k', split='val', test_mode=True, pipeline=generalisation_pipeline),
        dict(
            type='Mapillary',
            data_root='data/mapillary',
            split='validation',
            test_mode=True,
            pipeline=generalisation_pipeline,
        ),
        # All labelled images. VFM-UDA++ tests on a part of them (docs/data_sets.md): the numbers do not compare.
        dict(type='WildDash2', data_root='data/wilddash2', test_mode=True, pipeline=generalisation_pipeline),
    ],
)
