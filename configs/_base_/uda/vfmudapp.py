# VFM-UDA++ (Englert and Dubbelman 2025, arXiv 2503.10685): VFM-UDA with stronger colours of the source, masked blocks
# instead of tokens, and the features of a frozen foundation model, which keep the student from forgetting them.
_base_ = ['vfmuda.py']

model = dict(
    source_augmentation=dict(
        brightness=0.8,
        contrast=0.8,
        saturation=0.8,
        hue=0.4,
        jitter_probability=0.8,
        grey_probability=0.1,
        blur_probability=0.5,
        sigma=(0.15, 3.0),
    ),
    # Blocks of the image as the ViT sees it: 18 x 18 in 1120 pixels.
    masking=dict(_delete_=True, type='BlockMasking', block_size=64, ratio=0.7, multiple=224),
    distillation=dict(
        type='FeatureDistillation',
        # DINOv2 ViT-L with registers, whose dense features are cleaner, also for smaller students. Weights: timm's hub
        # (timm/vit_large_patch14_reg4_dinov2.lvd142m), or a file named by `model.distillation.frozen.checkpoint`.
        frozen=dict(
            type='TimmViT', name='vit_large_patch14_reg4_dinov2.lvd142m', out_indices=[23], stride=14, pretrained=True
        ),
        # 29 x 29 patches, near the 37 x 37 of its pretraining.
        size=(406, 406),
        # In each of the two passes.
        weight=0.1,
        smooth_l1_share=0.1,
    ),
)
