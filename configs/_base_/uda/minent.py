# MinEnt (Vu et al. 2019, arXiv 1811.12833): source cross-entropy and low entropy of the predictions on the target.
model = dict(
    type='DomainAdapter',
    # The entropy of a pixel is divided by that of equal probabilities, so that the weight does not depend on the
    # number of classes.
    adaptation_loss=dict(type='EntropyMinimization', weight=0.001),
)
# No teacher, no pseudo-labels, and the source as it comes: the method is older than these.
train_cfg = dict(type='UDATrainLoop')
