_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/streets_video.py',
    '_base_/models/small_video_resnet10t.py',
    '_base_/uda/quadmix_video.py',
    '_base_/schedules/small_scratch.py',
]
model = dict(
    student={{_base_.segmentor}},
    # The published 0.999 remembers a thousand iterations, more than this run has.
    ema=dict(alpha=0.99))
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
# A run of minutes: save and draw often.
default_hooks = dict(checkpoint=dict(interval=100))
custom_hooks = [dict(type='PanelHook', interval=100)]
