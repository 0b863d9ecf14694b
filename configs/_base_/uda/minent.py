# MinEnt (Vu et al. 2019, arXiv 1811.12833): source cross-entropy and low entropy of the scores on the target.
model = dict(
    type='DomainAdapter',
    # The entropy of a pixel is divided by that of equal scores, so that the weight does not depend on the classes.
    adaptation_loss=dict(type='EntropyMinimization', weight=0.001),
)
# No teacher, no pseudo-labels, and the source as it comes: the method is older than these.
train_cfg = dict(type='UDATrainLoop')
