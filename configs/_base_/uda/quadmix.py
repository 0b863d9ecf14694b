# QuadMix (TPAMI 2025) without the thing-class feature distance and the masked pass of its published runs: the four
# mixing directions, the long-tail paste and rare-class sampling on a mean teacher.
model = dict(
    type='DomainAdapter',
    ema=dict(type='EMA', alpha=0.999),
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968),
    mixing=dict(type='QuadMix'),
    photometric=dict(type='PhotometricChange'))
train_cfg = dict(
    type='UDATrainLoop',
    source_sampling=dict(type='RareClassDataset', temperature=0.01),
    # Two pastes of a rare class per iteration over each of the two mixed images.
    long_tail=dict(type='LongTailDataset', draws=2, mixes=2))
