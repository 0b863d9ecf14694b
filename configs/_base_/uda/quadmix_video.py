# QuadMix on video (TPAMI 2025, arXiv 2311.13254): labels across time, mixing in four directions on clips with their
# flow, class means of both domains drawn together.
#
# The published runs have an external teacher in their first iterations, a checkpoint of TPS, and the student
# afterwards; here the teacher is the student's moving average throughout, as on images. `--cfg-options load_from=FILE`
# starts both from a checkpoint, as the published CNN starts its student.
model = dict(
    type='VideoAdapter',
    ema=dict(type='EMA', alpha=0.999),
    # The teacher sees the past pair mirrored or as it is.
    pseudo_labels=dict(type='CrossFramePseudoLabels', flip_probability=0.5),
    # lambda_T weighs what is learnt from pseudo-labels of whole target images, of the target pass and of TST alike; it
    # is a property of the benchmark and set in the experiment.
    cross_frame=dict(type='CrossFramePass', scale=1.0),
    mixing=dict(
        type='VideoQuadMix', confidence_threshold=0.9, source_classes=2, target_classes=2, tss_scale=1.0, tst_scale=1.0
    ),
    # Between frame t and the one before; the CNN adds a longer interval.
    centroid_alignment=dict(type='CentroidAlignment', weight=0.01, intervals=1),
    # The source in the colours of the target.
    match_histograms=True,
)
# Each draw is one image of a rare class, laid over both mixtures; which classes is a property of the source. How many
# draws is a property of the benchmark and set in the experiment.
train_cfg = dict(type='UDATrainLoop', long_tail=dict(type='LongTailDataset', draws=2, mixes=1))
