# QuadMix as published, with masked pass and feature distance, which camvid_day2dusk_quadmix.py leaves out.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/camvid_day2dusk.py',
    '_base_/models/small_effnet_lite0.py',
    '_base_/uda/quadmix.py',
    '_base_/schedules/small_finetune.py',
]
model = dict(
    student={{_base_.segmentor}},
    # The published 0.999 remembers a thousand iterations, more than this run has.
    ema=dict(alpha=0.99),
    # From the second iteration, the first with a template: the published 6000 are more than this run has.
    mixing=dict(start_iter=0),
    # A sixteenth of the crop's height, as the published 64 of 1024.
    masking=dict(block_size=15),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}},
    val_interval={{_base_.max_iters}},
    # As in camvid_day2dusk_quadmix.py.
    source_sampling=dict(reference_size=(1914, 1052), crop_fraction=0.5),
)
# A run of minutes: save and draw often.
default_hooks = dict(checkpoint=dict(interval=100))
custom_hooks = [dict(type='PanelHook', interval=100)]
