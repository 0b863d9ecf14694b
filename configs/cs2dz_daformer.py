# Cityscapes -> Dark Zurich with DAFormer on MiT-B5.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/cs2dz_512.py',
    '_base_/models/daformer_mitb5.py',
    '_base_/uda/daformer.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
