# CamVid, from day (305 labelled images) to dusk (62 images of sequence 0001TP, labels never read); tested on the 62
# dusk images of the test split. The data: see docs/small_benchmarks.md. UDASS_CAMVID names its
# folder where it is not data/camvid.
import os

_base_ = ['../pipelines/small_loaders.py']
# Half of the published 480x360 edition and a little more: what two CPU cores train in minutes.
scale = (320, 240)
random_resize = dict(type='RandomResize', scale=scale, ratio_range=(1.0, 1.5), keep_ratio=True)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    random_resize,
    dict(type='RareClassCrop', crop_size=(240, 320), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    random_resize,
    dict(type='RareClassCrop', crop_size=(240, 320)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    # After Resize: predictions are compared at the size of the published labels.
    dict(type='LoadLabels'),
    dict(type='PackUDAInputs'),
]
camvid = dict(type='CamVidDataset', data_root=os.environ.get('UDASS_CAMVID', 'data/camvid'))
train_dataloader = dict(
    source=dict(dataset=dict(**camvid, split='train', exclude_sequence='0001TP', pipeline=source_pipeline)),
    target=dict(dataset=dict(**camvid, split='train', sequence='0001TP', pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(**camvid, split='test', sequence='0001TP', pipeline=test_pipeline))
test_dataloader = val_dataloader
