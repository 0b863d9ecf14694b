# VFM-UDA (Englert et al. 2024, arXiv 2406.09896): ClassMix and a masked pass for foundation models.
# torchvision's jitter for each image by itself: strong for the source and for the target that is mixed.
jitter = dict(
    type='PhotometricChange',
    operations='torchvision',
    brightness=32 / 255,
    contrast=0.5,
    saturation=0.5,
    hue=18 / 360,
    jitter_probability=0.9,
    blur_probability=0.0,
    per_image=True,
)
model = dict(
    type='DomainAdapter',
    # Unlike DAFormer's, the teacher follows at the end of the iteration.
    ema=dict(type='EMA', alpha=0.999, after_step=True),
    # One weight for all pixels, the share of confident ones; 0 in the margins that the target's loader marks. The mean
    # of the image and its mirror is steadier than either.
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968, two_views=True),
    mixing=dict(type='ClassMix'),
    source_augmentation=jitter,
    target_augmentation=jitter,
    # Of mixed and masked images.
    photometric=dict(type='PhotometricChange', operations='torchvision', per_image=True),
    # Where MIC hides blocks of pixels, the mask token of DINOv2's own pretraining takes the place of patches.
    masking=dict(type='TokenMasking', ratio=0.7),
)
train_cfg = dict(
    type='UDATrainLoop',
    # Warmer than DAFormer's 0.01: frequent classes are drawn more often. A file has more than 3000 pixels of the drawn
    # class, a crop of 1024 more than twice that.
    source_sampling=dict(type='RareClassDataset', temperature=0.05, min_pixels=3000, crop_fraction=2),
)
