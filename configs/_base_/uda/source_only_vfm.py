# source_only.py as published with VFM-UDA: its colours and its rare classes, without the target.
_base_ = ['source_only.py']

model = dict(
    source_augmentation=dict(
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
)
# As in vfmuda.py.
train_cfg = dict(source_sampling=dict(type='RareClassDataset', temperature=0.05, min_pixels=3000, crop_fraction=2))
