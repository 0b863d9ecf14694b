# streets2camvid_video.py frame by frame, for image methods: the same frames, cropped as in camvid_day2dusk.py; the test
# is that of the video networks, which shows an image network the frames one after the other.
import os

_base_ = ['camvid_day2dusk.py']
camvid = dict(data_root=os.environ.get('UDASS_CAMVID', 'data/camvid'), split='val')
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='StreetsCamVidClips',
            data_root='data/streets_camvid',
            domain='game',
            split='train',
            # Single frames, also the first of a clip.
            step=0,
            pipeline={{_base_.source_pipeline}},
        )
    ),
    target=dict(dataset=dict(split='val', sequence=None, labelled=False)),
)
flow_cache = dict(type='FlowCache', folder='data/flow', estimator=dict(type='DISFlow'))
test_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale={{_base_.scale}}, keep_ratio=True),
    # After ClipResize: predictions are compared at the size of the published labels.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
val_dataloader = dict(dataset=dict(_delete_=True, type='CamVidVideo', **camvid, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='ClassIoUMetric'),
    # At the size of the labels, there and back.
    dict(type='TemporalConsistency', flow=flow_cache, backward=flow_cache),
]
test_evaluator = val_evaluator
