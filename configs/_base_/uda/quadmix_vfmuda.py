# VFM-UDA with QuadMix (TPAMI 2025, arXiv 2311.13254) in place of ClassMix. Not a published setting.
_base_ = ['vfmuda.py']

model = dict(
    # As in quadmix.py. Until start_iter ClassMix: pasting regions of the target needs labels that are mostly right.
    mixing=dict(type='QuadMix', start_iter=6000, confidence_threshold=0.9, source_classes=2, target_classes=2),
)
# As in quadmix.py; these images have the pipeline of the source.
train_cfg = dict(long_tail=dict(type='LongTailDataset', draws=2, mixes=2))
