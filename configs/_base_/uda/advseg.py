# AdvSeg (Tsai et al. 2018, arXiv 1802.10349) on the output space: a discriminator learns to tell the predictions of
# the two domains apart, the student to make those of the target look like the source's. Needs the optimizers of both:
# _base_/schedules/sgd_40k_adversarial.py.
model = dict(
    type='DomainAdapter',
    # The discriminator: five convolutions of 64, 128, 256, 512 and 1 channels, fitted by least squares.
    adaptation_loss=dict(type='AdversarialAlignment', weight=0.001, channels=64),
)
# No teacher, no pseudo-labels, and the source as it comes: the method is older than these.
train_cfg = dict(type='UDATrainLoop')
