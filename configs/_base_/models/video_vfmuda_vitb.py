# The network of VFM-UDA on two frames: the logits of frame t and those of t-1, warped by optical flow, joined by a 1x1
# convolution (QuadMix on video, arXiv 2311.13254).
_base_ = ['vfmuda_vitb.py']

segmentor = dict(
    type='FlowGuidedEncoderDecoder',
    # Frames of 1024x512 become 1036x518, 74 x 37 patches: both sides grow alike, and 37 is the grid of the pretraining.
    backbone=dict(multiple=14),
    # VIPER's; SYNTHIA-Seq has 12. Video methods average over labelled pixels.
    decode_head=dict(num_classes=15, loss_decode=dict(weighted_over_all=False)),
    test_cfg=dict(_delete_=True, mode='whole'),
)
