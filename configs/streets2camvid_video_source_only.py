# The labelled clips of the streets alone, segmented with the help of the frame before.
_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets2camvid_video.py',
    '_base_/models/small_video_effnet_lite0.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/small_finetune.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
# As for source only on images, see small_camvid.py.
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
