# SYNTHIA-Seq -> Cityscapes-Seq with QuadMix on VFM-UDA, DINOv2 ViT-B, two frames at a time.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/synseq2csseq.py',
    '_base_/models/video_vfmuda_vitb_12.py',
    '_base_/uda/quadmix_video_vfmuda.py',
    '_base_/schedules/adamw_40k_vfmuda.py',
]
model = dict(
    student={{_base_.segmentor}},
    # The student sees the target in strongly changed colours, also in mixtures; for this source only.
    target_augmentation=dict(type='StrongAugmentation'),
    # The source pass sees whole frames, shrunk to the target's size; their logits are enlarged to the labels.
    source_size=(512, 1024),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}}, val_interval=4000, long_tail=dict(pipeline={{_base_.long_tail_pipeline}})
)
