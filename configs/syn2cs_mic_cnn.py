# SYNTHIA -> Cityscapes with MIC on DeepLabV2 (ResNet-101) under HRDA. Not a published experiment, but
# the setting of gta2cs_mic_cnn.py.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/syn2cs_1024.py',
    '_base_/models/hrda_deeplabv2_r101.py',
    '_base_/uda/mic.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
