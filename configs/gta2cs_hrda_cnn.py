# GTA -> Cityscapes with HRDA on DeepLabV2 (ResNet-101). It is tested in windows, like HRDA on MiT-B5 and like MIC on
# this network; HRDA's code tests it on whole images in its comparison of methods (experiments.py, id 41).
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_1024.py',
    '_base_/models/hrda_deeplabv2_r101.py',
    '_base_/uda/hrda.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
