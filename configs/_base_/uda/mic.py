# MIC (Hoyer et al. 2023, arXiv 2212.01322): HRDA and a masked pass, in which the student infers hidden blocks of the
# target from their surroundings; for crops of 1024.
model = dict(
    type='DomainAdapter',
    ema=dict(type='EMA', alpha=0.999),
    # One weight for all pixels, the share of confident ones; 0 in the margins that the target's loader marks.
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968),
    mixing=dict(type='ClassMix'),
    # The version of kornia that the published code pins adds to the values where torchvision multiplies them.
    photometric=dict(type='PhotometricChange', operations='kornia'),
    # Blocks of 64 pixels hide whole parts of objects, but leave enough of the context; 32 for crops of 512. With a
    # source by day and a target at night or in bad weather take mic_mixed.py.
    masking=dict(type='BlockMasking', block_size=64, ratio=0.7, mode='target'),
    # Keeps what ImageNet taught about things; stuff looks different there.
    feature_distance=dict(type='FeatureDistance', weight=0.005, min_ratio=0.75),
)
train_cfg = dict(
    type='UDATrainLoop',
    # A file has more than 3000 pixels of the drawn class, a crop of 1024 more than twice that: four times what a crop
    # of 512 must have (daformer.py), as it is cut from images of twice that size.
    source_sampling=dict(type='RareClassDataset', temperature=0.01, min_pixels=3000, crop_fraction=2),
)
