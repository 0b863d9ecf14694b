# VIPER -> BDDVid, 15 classes, frame by frame for image methods, at the sizes of UnifiedVideoDA: VIPER 2560x1440,
# BDD100K as it is, crops as high as its frames.
_base_ = ['viper2csseq_frames_1024.py']

crop_size = (720, 720)
resize = dict(type='Resize', scale=(1280, 720), keep_ratio=True)
source_pipeline = [
    *_base_.load_source,
    dict(type='Resize', scale=(2560, 1440), keep_ratio=True),
    # No class may fill more than 3/4 of a crop: road and sky alone teach little (DAFormer).
    dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.crop_source[1:],
]
# No margins: the published code leaves them out where frames have 720 rows.
target_pipeline = [
    dict(type='LoadImage'),
    resize,
    dict(type='RareClassCrop', crop_size=crop_size),
    *_base_.crop_target[1:],
]
test_pipeline = [dict(type='LoadImage'), resize, *_base_.load_truth]
target = dict(type='BDDVid', data_root='data/bddvid')
train_dataloader = dict(
    source=dict(dataset=dict(pipeline=source_pipeline)),
    target=dict(dataset=dict(**target, split='train', pipeline=target_pipeline)),
)
val = dict(**target, split='val_orig_10k', pipeline=test_pipeline)
val_dataloader = dict(dataset=val)
# The frames beside the labelled ones are from the video, the labelled ones are not: no temporal consistency.
test_dataloader = dict(dataset=dict(_delete_=True, **val, benchmark='viper', test_mode=True))
test_evaluator = [dict(type='ClassIoUMetric')]
