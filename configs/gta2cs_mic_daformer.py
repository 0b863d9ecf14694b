# GTA -> Cityscapes with MIC over DAFormer on MiT-B5, without HRDA.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_512.py',
    '_base_/models/daformer_mitb5.py',
    '_base_/uda/mic_512.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
