# QuadMix as published for images, on the frames of the clips: the row to compare the video method with.
_base_ = [
    '_base_/small_camvid.py',
    '_base_/datasets/streets2camvid_video_frames.py',
    '_base_/uda/quadmix.py',
]
model = dict(
    student={{_base_.segmentor}},
    ema={{_base_.short_ema}},
    mixing={{_base_.small_mixing}},
    masking={{_base_.small_masking}},
    # The published transformers have no batch norm in the backbone; see docs/watching.md.
    masked_statistics=False,
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}}, source_sampling={{_base_.small_sampling}}
)
