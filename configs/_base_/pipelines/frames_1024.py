# images_1024.py for the frames of Cityscapes-Seq: image methods on the video benchmarks.
_base_ = ['images_1024.py']

target = dict(type='CityscapesSeq', data_root='data/cityscapes')
train_dataloader = dict(target=dict(dataset=dict(**target, split='train')))
val_dataloader = dict(dataset=dict(**target, split='val'))
# The frame before each labelled one is segmented, too, to measure temporal consistency (not in validation, for time).
test_dataloader = dict(
    dataset=dict(
        **target,
        split='val',
        frame_before=True,
        # Of the two frames an image network sees the first.
        pipeline=[
            dict(type='LoadClip'),
            dict(type='ClipResize', scale=_base_.target_scale, keep_ratio=True),
            dict(type='LoadClipLabels'),
            dict(type='PackClip'),
        ],
    )
)
# At the size of the labels, there and back, as for video networks.
evaluation_flow = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))
test_evaluator = [
    dict(type='ClassIoUMetric'),
    dict(type='TemporalConsistency', flow=evaluation_flow, backward=evaluation_flow),
]
