# DACS (Tranheden et al. 2021): mean teacher and ClassMix across domains.
model = dict(
    type='DomainAdapter',
    # DACS alone keeps 0.99 of the old teacher; the later methods keep 0.999.
    ema=dict(type='EMA', alpha=0.99),
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968),
    mixing=dict(type='ClassMix'),
    photometric=dict(type='PhotometricChange'))
train_cfg = dict(type='UDATrainLoop')
