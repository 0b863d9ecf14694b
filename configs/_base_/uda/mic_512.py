# MIC over DAFormer: mic.py for crops of 512 from images of half the size.
_base_ = ['mic.py']

# The same share of the crop as 64 pixels are of 1024.
model = dict(masking=dict(block_size=32))
# As in daformer.py.
train_cfg = dict(source_sampling=dict(crop_fraction=0.5))
