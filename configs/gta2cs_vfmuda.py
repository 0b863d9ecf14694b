# GTA -> Cityscapes with VFM-UDA on DINOv2 ViT-B.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_vfm.py',
    '_base_/models/vfmuda_vitb.py',
    '_base_/uda/vfmuda.py',
    '_base_/schedules/adamw_40k_vfmuda.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
