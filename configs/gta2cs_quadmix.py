# GTA -> Cityscapes with QuadMix on MiT-B5.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_1024.py',
    '_base_/models/hrda_daformer_mitb5.py',
    '_base_/uda/quadmix.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval=4000, long_tail=dict(pipeline={{_base_.long_tail_pipeline}})
)
