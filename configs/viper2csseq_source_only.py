# VIPER -> Cityscapes-Seq on the source alone: ACCEL-DeepLabV2 (ResNet-101).
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq.py',
    '_base_/models/video_accel_deeplabv2_r101.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/sgd_40k_video.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
