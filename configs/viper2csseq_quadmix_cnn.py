# VIPER -> Cityscapes-Seq with QuadMix on ACCEL-DeepLabV2 (ResNet-101). The published run starts from TPS.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq.py',
    '_base_/models/video_accel_deeplabv2_r101.py',
    '_base_/uda/quadmix_video.py',
    '_base_/schedules/sgd_40k_video.py',
]
model = dict(
    student={{_base_.segmentor}},
    # lambda_T of this source.
    cross_frame=dict(scale=0.2),
    # Windows of VIPER's frames that leave out the sky at the top and the hood at the bottom.
    mixing=dict(tst_scale=0.2, window_rows=(100, 128)),
    # The target's class means over two motions: from t to t-1 and to t-k-1.
    centroid_alignment=dict(intervals=2),
)
# VIPER's rate.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(
    max_iters={{_base_.max_iters}},
    val_interval=4000,
    # As many rare classes per iteration as published for this source.
    long_tail=dict(draws=3, pipeline={{_base_.long_tail_pipeline}}),
)
