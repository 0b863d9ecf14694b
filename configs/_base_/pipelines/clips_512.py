# Clips at the sizes of the video benchmarks (DA-VSN, TPS, UDASS): sources 1280 pixels wide, Cityscapes-Seq 1024x512,
# one clip of each per step. The published loaders crop and flip nothing.
_base_ = ['loaders.py']
target_scale = (1024, 512)
# As published: PIL's bicubic filter, which averages over what a pixel covers.
resize = dict(type='ClipResize', interpolation='bicubic', backend='pillow')
# Flow is computed once per pair and size, by DIS (OpenCV, on the CPU), and stored; tools fill the folder beforehand.
# The flow that the benchmarks' authors publish is read by
# dict(type='FlowCache', folder=None, estimator=dict(type='PrecomputedFlow', folder=..., naming='viper'))
# and naming='synthia' or 'cityscapes'.
flow_cache = dict(type='FlowCache', folder='data/flow', root='data', estimator=dict(type='DISFlow'))
# Temporal consistency is measured along this flow, whatever the network gets.
evaluation_flow = flow_cache

# Both frames have labels.
load_source = [dict(type='LoadClip'), dict(type='LoadClipLabels')]
# At the size that is trained with, before anything is cut off.
load_flow = dict(type='LoadFlow', cache=flow_cache)
# What QuadMix pastes: a window of a frame that holds the drawn class.
crop_long_tail = [dict(type='ClipCrop', crop_size=(512, 1024)), dict(type='PackClip')]
target_pipeline = [
    dict(type='LoadClip'),
    dict(scale=target_scale, **resize),
    load_flow,
    dict(type='PackClip'),
]
test_pipeline = [
    dict(type='LoadClip'),
    dict(scale=target_scale, **resize),
    load_flow,
    # After ClipResize: predictions are compared at the size of the published labels, 2048x1024.
    dict(type='LoadClipLabels'),
    dict(type='PackClip'),
]
target = dict(type='CityscapesSeq', data_root='data/cityscapes')
train_dataloader = dict(
    source=dict(batch_size=1),
    target=dict(
        batch_size=1,
        # The frame of each snippet that gtFine names (2975), as in the benchmark; the labels are not opened. The past
        # pair is t-1 and t-2: pseudo-labels travel over one frame.
        dataset=dict(**target, split='train', past=1, pipeline=target_pipeline),
    ),
)
val_dataloader = dict(dataset=dict(**target, split='val', pipeline=test_pipeline))
# The frame before each labelled one is segmented, too, to measure temporal consistency (not in validation, for time).
# A network that needs flow needs that of t-1 to t-2 for it; published flow may lack it: frame_before=False.
test_dataloader = dict(dataset=dict(**target, split='val', frame_before=True, pipeline=test_pipeline))
test_evaluator = [
    dict(type='ClassIoUMetric'),
    # At the size of the labels, there and back; the published flow leads to earlier frames only.
    dict(type='TemporalConsistency', flow=evaluation_flow, backward=evaluation_flow),
]
