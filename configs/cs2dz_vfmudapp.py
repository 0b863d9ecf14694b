# Cityscapes -> Dark Zurich with VFM-UDA++ on DINOv2 ViT-L.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/cs2dz_vfm.py',
    '_base_/models/vfmudapp_vitl.py',
    '_base_/uda/vfmudapp.py',
    '_base_/schedules/adamw_40k_vfmudapp.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
