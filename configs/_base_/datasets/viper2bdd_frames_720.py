# VIPER -> BDDVid, 15 classes, frame by frame for image methods, at the sizes of UnifiedVideoDA: VIPER 2560x1440,
# BDD100K as it is, crops as high as its frames. What is not said here is as in viper2csseq_frames_1024.py.
_base_ = ['viper2csseq_frames_1024.py']

target_root = 'data/bddvid'
target_scale = (1280, 720)
crop_size = (720, 720)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='Resize', scale={{_base_.source_scale}}, keep_ratio=True),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
# No margins: the published code leaves them out where frames have 720 rows.
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
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
    source=dict(dataset=dict(pipeline=source_pipeline)),
    target=dict(
        dataset=dict(type='BDDVid', data_root=target_root, split='train', labelled=False, pipeline=target_pipeline)
    ),
)
val_dataloader = dict(dataset=dict(type='BDDVid', data_root=target_root, split='val_orig_10k', pipeline=test_pipeline))
# The frames beside the labelled ones are from the video, the labelled ones are not: no temporal consistency.
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='BDDVid',
        data_root=target_root,
        split='val_orig_10k',
        benchmark='viper',
        test_mode=True,
        pipeline=test_pipeline,
    )
)
test_evaluator = [dict(type='ClassIoUMetric')]
