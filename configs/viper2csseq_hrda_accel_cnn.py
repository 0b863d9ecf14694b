# VIPER -> Cityscapes-Seq with HRDA on DeepLabV2 (ResNet-101) on two frames, whose logits are joined as in ACCEL
# ("HRDA + Accel + Consis Mixup" of UnifiedVideoDA, Kareer et al. 2024): the self-training of HRDA.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq_clips_1024.py',
    '_base_/models/video_hrda_deeplabv2_r101.py',
    '_base_/uda/hrda_clips.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
