# CamVid's real video: 101 consecutive labelled frames (0016E5, 15 Hz), to try flow, fusion and temporal consistency on.
# No benchmark: the video is by day, as the source is, and the target is the video that is tested on (its labels are
# never read in training). UDASS_CAMVID names the folder where it is not data/camvid.
import os

_base_ = ['../pipelines/small_loaders.py']
# Half of the published 480x360 edition and a little more: what two CPU cores train in minutes.
scale = (320, 240)
random_resize = dict(
    type='RandomResize', resize_type='ClipResize', scale=scale, ratio_range=(1.0, 1.5), keep_ratio=True
)
# DIS (OpenCV) takes some milliseconds per pair of this size; its results are stored.
flow_cache = dict(type='FlowCache', folder='data/flow', estimator=dict(type='DISFlow'))
load_flow = dict(type='LoadFlow', cache=flow_cache)

source_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadClipLabels'),
    load_flow,
    random_resize,
    dict(type='ClipCrop', crop_size=(240, 320), cat_max_ratio=0.75),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
target_pipeline = [
    dict(type='LoadClip'),
    load_flow,
    random_resize,
    dict(type='ClipCrop', crop_size=(240, 320)),
    dict(type='ClipFlip', prob=0.5),
    dict(type='PackClip'),
]
test_pipeline = [
    dict(type='LoadClip'),
    load_flow,
    dict(type='ClipResize', scale=scale, keep_ratio=True),
    # After ClipResize: predictions are compared at the size of the published labels.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
camvid = dict(type='CamVidVideo', data_root=os.environ.get('UDASS_CAMVID', 'data/camvid'))
train_dataloader = dict(
    source=dict(
        dataset=dict(
            **camvid,
            split='train',
            # Dusk.
            exclude_sequence='0001TP',
            # A second apart, these frames are no video: clips without motion.
            step=0,
            pipeline=source_pipeline,
        )
    ),
    target=dict(dataset=dict(**camvid, split='val', past=1, pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(**camvid, split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='ClassIoUMetric'),
    # At the size of the labels, there and back.
    dict(type='TemporalConsistency', flow=flow_cache, backward=flow_cache),
]
test_evaluator = val_evaluator
