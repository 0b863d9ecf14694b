# SYNTHIA -> Cityscapes without adaptation, DeepLabV2: the floor of the convolutional methods.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/syn2cs_512.py',
    '_base_/models/deeplabv2_r101.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/sgd_40k.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
