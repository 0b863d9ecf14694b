# synseq2csseq.py frame by frame for image methods: full resolution, crops of 1024, as in gta2cs_1024.py.
source_root = 'data/synthia_seq'
target_root = 'data/cityscapes'
source_scale = (2560, 1520)
target_scale = (2048, 1024)
crop_size = (1024, 1024)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='Resize', scale=source_scale, keep_ratio=True),
    # The car that carries the camera.
    dict(type='CutBottomRows', rows=120, height=760),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    # Before the crop: a crop from the middle of the image keeps all pixels (HRDA).
    dict(type='PseudoMargins'),
    dict(type='RareClassCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    # After Resize: predictions are compared at the size of the published labels.
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
train_dataloader = dict(
    source=dict(
        batch_size=2, num_workers=4, dataset=dict(type='SynthiaSeq', data_root=source_root, pipeline=source_pipeline)
    ),
    target=dict(
        batch_size=2,
        num_workers=4,
        dataset=dict(
            type='CityscapesSeq',
            data_root=target_root,
            split='train',
            benchmark='synthia_seq',
            labelled=False,
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    # The scores of one 2048x1024 image take what a batch of crops takes.
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesSeq',
        data_root=target_root,
        split='val',
        benchmark='synthia_seq',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='ClassIoUMetric')
# The frame before each labelled one is segmented, too, to measure temporal consistency (not in validation, for time).
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesSeq',
        data_root=target_root,
        split='val',
        benchmark='synthia_seq',
        test_mode=True,
        frame_before=True,
        # Of the two frames an image network is shown the first.
        pipeline=[
            dict(type='LoadClip'),
            dict(type='ClipResize', scale=target_scale, keep_ratio=True),
            dict(type='LoadClipLabels'),
            dict(type='PackClip'),
        ],
    ),
)
# At the size of the labels, there and back, as for video networks.
evaluation_flow = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))
test_evaluator = [
    dict(type='ClassIoUMetric'),
    dict(type='TemporalConsistency', flow=evaluation_flow, backward=evaluation_flow),
]
