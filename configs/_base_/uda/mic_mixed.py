# MIC for a real source and a target in bad weather or at night (Cityscapes to ACDC, Dark Zurich).
_base_ = ['mic.py']

# The target's images are hard enough: no colour change before blocks are hidden. Half of the masked images are
# from the source, with their true labels.
model = dict(masking=dict(mode='mixed'))
