# QuadMix without masked pass and feature distance: a run that is compared with DACS at equal time, which is short on a
# CPU.
_base_ = ['camvid_day2dusk_quadmix_masked.py']
model = dict(feature_distance=None, masking=None)
