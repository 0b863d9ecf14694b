# SYNTHIA -> Cityscapes with QuadMix on DeepLabV2 (ResNet-101) under HRDA.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/syn2cs_1024.py',
    '_base_/models/hrda_deeplabv2_r101.py',
    '_base_/uda/quadmix.py',
    '_base_/schedules/adamw_40k.py',
]
model = dict(
    student={{_base_.segmentor}},
    # When the published run of this network and source starts.
    mixing=dict(start_iter=6001),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval=4000, long_tail=dict(pipeline={{_base_.long_tail_pipeline}})
)
