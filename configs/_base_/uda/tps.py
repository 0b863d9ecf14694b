# TPS (Xing et al. 2022, arXiv 2203.12356): labels of the target travel from a past pair of frames to the current one,
# along the optical flow.
model = dict(
    type='VideoAdapter',
    # The student is its own teacher: a copy of it in every iteration.
    ema=dict(type='EMA', alpha=0.0),
    # The teacher sees the past pair mirrored and its colours as they are.
    pseudo_labels=dict(type='CrossFramePseudoLabels', flip=True),
    cross_frame=dict(
        type='CrossFramePass',
        # lambda_T, the same for both benchmarks.
        scale=1.0,
        rescale=(0.8, 1.2),
        # Strong where the teacher's view is weak.
        photometric=dict(type='StrongAugmentation')))
train_cfg = dict(type='UDATrainLoop')
