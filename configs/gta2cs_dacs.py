# GTA -> Cityscapes with DACS, DeepLabV2, in the setting of DAFormer (its optimizer, its crops), to compare with it.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_512.py',
    '_base_/models/deeplabv2_r101.py',
    '_base_/uda/dacs.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
