# GTA -> Cityscapes with QuadMix on a foundation backbone, DINOv2 ViT-B. Not a published setting: crops of 512 and no
# HRDA, whose several windows per image would cost a ViT too much.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/gta2cs_512.py',
    '_base_/models/dinov2_vitb.py',
    '_base_/uda/quadmix.py',
    '_base_/schedules/adamw_40k_vit.py',
]
model = dict(
    student={{_base_.segmentor}},
    # It holds features near to those of the start weights because ImageNet's labels taught these to tell things apart.
    # DINOv2 was trained without labels; and the neck, which starts from nothing, has no features worth keeping.
    feature_distance=None,
    # For crops of 512.
    masking=dict(block_size=32),
)
train_cfg = dict(
    max_iters={{_base_.max_iters}},
    val_interval=4000,
    # For crops of 512 from shrunk images, see _base_/uda/daformer.py.
    source_sampling=dict(crop_fraction=0.5),
)
