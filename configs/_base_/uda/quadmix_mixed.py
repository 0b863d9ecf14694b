# QuadMix for a real source and a target in bad weather or at night (Cityscapes to ACDC, Dark Zurich).
_base_ = ['quadmix.py']

# As in mic_mixed.py.
model = dict(masking=dict(mode='mixed'))
