# Synthetic to real: from the built-in streets (game, 600 labelled images in CamVid's size and classes) to CamVid's 367
# training images, whose labels are never read; tested on CamVid's 233 test images. Both have to be there:
#     python tools/make_streets.py --root data/streets_camvid --size 360 480 --counts game/train=600
# and CamVid as the README says; UDASS_CAMVID names its folder where it is not data/camvid.
import os

camvid = os.environ.get('UDASS_CAMVID', 'data/camvid')
# Half of the 480x360 of both data sets and a little more: what a CPU trains in minutes.
scale = (320, 240)

source_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomResize', scale=scale, ratio_range=(1.0, 1.5), keep_ratio=True),
    dict(type='RareClassCrop', crop_size=(240, 320), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs'),
]
target_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResize', scale=scale, ratio_range=(1.0, 1.5), keep_ratio=True),
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
train_dataloader = dict(
    source=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='StreetsCamVidDataset',
            data_root='data/streets_camvid',
            domain='game',
            split='train',
            pipeline=source_pipeline)),
    target=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='CamVidDataset', data_root=camvid, split='train', labelled=False, pipeline=target_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CamVidDataset', data_root=camvid, split='test', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric')
test_evaluator = val_evaluator
