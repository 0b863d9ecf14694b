# GTA -> Cityscapes: DINOv2 ViT-B on the labelled source alone, which VFM-UDA is to be compared with.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_vfm.py',
    '_base_/models/dinov2_vitb.py',
    '_base_/uda/source_only_vfm.py',
    '_base_/schedules/adamw_40k_vfmuda.py',
]
model = dict(student={{_base_.segmentor}})
# As published: the ViT learns ten times more slowly than in VFM-UDA.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.01))))
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
