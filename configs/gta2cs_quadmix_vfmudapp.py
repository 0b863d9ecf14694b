# GTA -> Cityscapes with QuadMix on VFM-UDA++, DINOv2 ViT-L.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_vfm.py',
    '_base_/models/vfmudapp_vitl.py',
    '_base_/uda/quadmix_vfmudapp.py',
    '_base_/schedules/adamw_40k_vfmudapp.py',
]
model = dict(student={{_base_.segmentor}})
# As in gta2cs_vfmudapp.py.
optim_wrapper = dict(optimizer=dict(lr=1e-5))
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
