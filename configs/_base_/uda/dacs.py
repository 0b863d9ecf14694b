# DACS (Tranheden et al. 2021, arXiv 2007.08702): mean teacher and ClassMix across domains.
model = dict(
    type='DomainAdapter',
    # DACS alone has a share of 0.99 of the old teacher; the later methods have 0.999.
    ema=dict(type='EMA', alpha=0.99),
    # The margins of the target (bonnet, border of the rectification) are DAFormer's idea; DACS trusts all pixels.
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.968, use_margins=False),
    mixing=dict(type='ClassMix'),
    # The version of kornia that the published code pins adds to the values where torchvision multiplies them.
    photometric=dict(type='PhotometricChange', operations='kornia'),
)
# Draws every source image equally often; rare-class sampling came with DAFormer.
train_cfg = dict(type='UDATrainLoop')
