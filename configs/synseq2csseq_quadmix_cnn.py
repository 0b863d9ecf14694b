# SYNTHIA-Seq -> Cityscapes-Seq with QuadMix on ACCEL-DeepLabV2 (ResNet-101). The published run starts from TPS.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/synseq2csseq.py',
    '_base_/models/video_accel_deeplabv2_r101_12.py',
    '_base_/uda/quadmix_video.py',
    '_base_/schedules/sgd_40k_video.py',
]
model = dict(
    student={{_base_.segmentor}},
    # The student sees the target in strongly changed colours, also in mixtures; for this source only.
    target_augmentation=dict(type='StrongAugmentation'),
    # The target's class means over two motions: from t to t-1 and to t-k-1.
    centroid_alignment=dict(intervals=2),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval=4000, long_tail=dict(pipeline={{_base_.long_tail_pipeline}})
)
