# SYNTHIA-Seq -> Cityscapes-Seq, 12 classes of which 11 are reported (mIoU11, without fence), at the sizes of the video
# benchmarks (DA-VSN, TPS, UDASS): SYNTHIA-Seq 1280x760 without its lowest 120 rows, Cityscapes 1024x512, one clip of
# each per step.
source_root = 'data/synthia_seq'
target_root = 'data/cityscapes'
# The published size.
source_scale = (1280, 760)
target_scale = (1024, 512)
# As published: PIL's bicubic filter, which averages over what a pixel covers. The published loaders flip nothing.
resize = dict(interpolation='bicubic', backend='pillow')
# Flow is computed once per pair and size, by DIS (OpenCV, on the CPU), and kept; tools fill the folder beforehand. The
# flow that the benchmarks' authors publish is read by
# dict(type='FlowCache', folder=None, estimator=dict(type='PrecomputedFlow', folder=..., naming='synthia'))
# and naming='cityscapes'.
flow_cache = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))
# Temporal consistency is measured along this flow, whatever the network is shown.
evaluation_flow = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))

source_pipeline = [
    dict(type='LoadClip'),
    # Both frames.
    dict(type='LoadClipLabels'),
    dict(type='ClipResize', scale=source_scale, **resize),
    # Of whole frames, before anything is cut off.
    dict(type='LoadFlow', cache=flow_cache),
    # The car that carries the camera: as much of the frame as in the benchmark.
    dict(type='CutBottomRows', rows=120, height=760),
    dict(type='PackClip'),
]
# What QuadMix pastes: a window of a frame that shows the drawn class.
long_tail_pipeline = [
    dict(type='LoadClip'),
    dict(type='LoadClipLabels'),
    dict(type='ClipResize', scale=source_scale, **resize),
    dict(type='CutBottomRows', rows=120, height=760),
    dict(type='ClipCrop', crop_size=(512, 1024)),
    dict(type='PackClip'),
]
target_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale=target_scale, **resize),
    dict(type='LoadFlow', cache=flow_cache),
    dict(type='PackClip'),
]
test_pipeline = [
    dict(type='LoadClip'),
    dict(type='ClipResize', scale=target_scale, **resize),
    dict(type='LoadFlow', cache=flow_cache),
    # After ClipResize: predictions are compared at the size of the published labels, 2048x1024.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
train_dataloader = dict(
    source=dict(
        batch_size=1,
        num_workers=4,
        # 850 frames; the first one has none before it.
        dataset=dict(type='SynthiaSeq', data_root=source_root, pipeline=source_pipeline),
    ),
    target=dict(
        batch_size=1,
        num_workers=4,
        dataset=dict(
            type='CityscapesSeq',
            data_root=target_root,
            split='train',
            benchmark='synthia_seq',
            # The frame of each snippet that gtFine names (2975), as in the benchmark; the labels are not opened.
            labelled=False,
            # The past pair is t-1 and t-2: pseudo-labels travel over one frame.
            past=1,
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    # The scores of one 2048x1024 frame take what a batch of crops takes.
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
# A network that is shown flow needs that of t-1 to t-2 for it; published flow may lack it: frame_before=False.
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
        pipeline=test_pipeline,
    ),
)
test_evaluator = [
    dict(type='ClassIoUMetric'),
    # At the size of the labels, there and back; the published flow leads to earlier frames only.
    dict(type='TemporalConsistency', flow=evaluation_flow, backward=evaluation_flow),
]
