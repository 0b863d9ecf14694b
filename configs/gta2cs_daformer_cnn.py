# GTA -> Cityscapes with DAFormer on DeepLabV2 (ResNet-101).
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_512.py',
    '_base_/models/deeplabv2_r101.py',
    '_base_/uda/daformer.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
