# QuadMix (TPAMI 2025, arXiv 2311.13254): MIC, with ClassMix replaced after start_iter by mixing in four directions,
# between the domains and within each of them, and pastes of rare classes; for crops of 1024.
#
# The published runs resume a run of MIC of their own before start_iter. Until then the methods are the same, so that a
# run from ImageNet weights is the published recipe.
model = dict(
    type='DomainAdapter',
    ema=dict(type='EMA', alpha=0.999),
    # One weight for all pixels, the share of confident ones; 0 in the margins that the target's loader marks.
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968),
    # Until start_iter ClassMix: pasting regions of the target needs pseudo-labels that are mostly right. From then on
    # two classes of the template source and two of the template target, the latter where the teacher is sure.
    mixing=dict(type='QuadMix', start_iter=6000, confidence_threshold=0.9, source_classes=2, target_classes=2),
    # The published code pins no kornia beside its PyTorch 1.13; the versions of that time (0.6.12) have the operations
    # of torchvision, unlike the one that MIC pins.
    photometric=dict(type='PhotometricChange', operations='torchvision'),
    # As in MIC, see mic.py.
    masking=dict(type='BlockMasking', block_size=64, ratio=0.7, mode='target'),
    # Keeps what ImageNet taught about things; stuff looks different there.
    feature_distance=dict(type='FeatureDistance', weight=0.005, min_ratio=0.75),
)
train_cfg = dict(
    type='UDATrainLoop',
    # A file has more than 3000 pixels of the drawn class, a crop of 1024 more than twice that (see mic.py).
    source_sampling=dict(type='RareClassDataset', temperature=0.01, min_pixels=3000, crop_fraction=2),
    # Two rare classes per iteration, drawn without replacement, each pasted over both mixed images of every target
    # image. Which classes, and how often each is listed, is a property of the source (rare_classes in its
    # metainfo). Published benchmarks give these images a pipeline of their own, set in the experiment.
    long_tail=dict(type='LongTailDataset', draws=2, mixes=2),
)
