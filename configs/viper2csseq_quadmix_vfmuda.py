# VIPER -> Cityscapes-Seq with QuadMix on VFM-UDA, DINOv2 ViT-B, two frames at a time.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq.py',
    '_base_/models/video_vfmuda_vitb.py',
    '_base_/uda/quadmix_video_vfmuda.py',
    '_base_/schedules/adamw_40k_vfmuda.py',
]
model = dict(
    student={{_base_.segmentor}},
    # lambda_T of this source.
    cross_frame=dict(scale=0.2),
    # Windows of VIPER's frames that leave out the sky at the top and the hood at the bottom.
    mixing=dict(tst_scale=0.2, window_rows=(100, 128)),
    # The source pass sees whole frames, shrunk to the target's size; their logits are enlarged to the labels.
    source_size=(512, 1024),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}},
    val_interval=4000,
    # As many rare classes per iteration as published for this source.
    long_tail=dict(draws=3, pipeline={{_base_.long_tail_pipeline}}),
)
