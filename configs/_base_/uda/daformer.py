# DAFormer (Hoyer et al. 2022, arXiv 2111.14887): DACS with a slower teacher, thing-class feature distance and
# rare-class sampling; for crops of 512.
model = dict(
    type='DomainAdapter',
    ema=dict(type='EMA', alpha=0.999),
    # One weight for all pixels, the share of confident ones; 0 in the margins that the target's loader marks.
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968),
    mixing=dict(type='ClassMix'),
    # The version of kornia that the published code pins adds to the values where torchvision multiplies them.
    photometric=dict(type='PhotometricChange', operations='kornia'),
    # Keeps what ImageNet taught about things; stuff looks different there. A cell counts where three quarters of its
    # pixels are of one thing class.
    feature_distance=dict(type='FeatureDistance', weight=0.005, min_ratio=0.75),
)
train_cfg = dict(
    type='UDATrainLoop',
    # The colder, the more the rarest classes are drawn. A file has more than 3000 pixels of the drawn class, a crop
    # of 512 more than half of that: images are shrunk before they are cropped.
    source_sampling=dict(type='RareClassDataset', temperature=0.01, min_pixels=3000, crop_fraction=0.5),
)
