# QuadMix on clips, with the network that sees two frames.
_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets2camvid_video.py',
    '_base_/models/small_video_effnet_lite0.py',
    '_base_/uda/quadmix_video.py',
    '_base_/schedules/small_finetune.py',
]
model = dict(
    student={{_base_.segmentor}},
    # As in small_camvid.py.
    ema=dict(alpha=0.95),
    # lambda_T as published for VIPER, the other game.
    cross_frame=dict(scale=0.2),
    mixing=dict(tst_scale=0.2),
)
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
