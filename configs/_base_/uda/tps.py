# TPS (Xing et al. 2022, arXiv 2203.12356): labels of the target travel from a past pair of frames to the current one,
# along the optical flow.
model = dict(
    type='VideoAdapter',
    # The student is its own teacher: a copy of it in every iteration.
    ema=dict(type='EMA', alpha=0.0),
    # The teacher sees the past pair mirrored or as it is, and its colours unchanged.
    pseudo_labels=dict(type='CrossFramePseudoLabels', flip_probability=0.5),
    # The scale is lambda_T of SYNTHIA-Seq; VIPER's is set in the experiment.
    cross_frame=dict(type='CrossFramePass', scale=1.0, rescale=(0.8, 1.2)),
    # Strong where the teacher's view is weak.
    target_augmentation=dict(type='StrongAugmentation'),
    # The source in the colours of the target.
    match_histograms=True,
)
train_cfg = dict(type='UDATrainLoop')
