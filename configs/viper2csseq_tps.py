# VIPER -> Cityscapes-Seq with TPS on DeepLabV2 (ResNet-101), two frames at a time.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq.py',
    '_base_/models/video_deeplabv2_r101.py',
    '_base_/uda/tps.py',
    '_base_/schedules/sgd_40k_video.py',
]
model = dict(
    student={{_base_.segmentor}},
    # lambda_T of this source.
    cross_frame=dict(scale=0.1),
)
# VIPER's rate.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
