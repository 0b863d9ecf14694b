# QuadMix on video with the training step of VFM-UDA: its teacher, its colours of mixed clips and its masked tokens.
# Labels come from the past pair, as in quadmix_video.py. Not a published setting.
_base_ = ['quadmix_video.py']

model = dict(
    ema=dict(after_step=True),
    # Of mixed and masked clips, both frames alike.
    photometric=dict(type='PhotometricChange', operations='torchvision', per_image=True),
    # The same tokens of both frames.
    masking=dict(type='TokenMasking', ratio=0.7),
)
