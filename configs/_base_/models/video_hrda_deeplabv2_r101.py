# hrda_deeplabv2_r101.py on two frames: its logits of frame t and those of t-1, warped by optical flow, joined by a 1x1
# convolution (UnifiedVideoDA, Kareer et al. 2024, arXiv 2402.00868).
_base_ = ['hrda_deeplabv2_r101.py']

segmentor = dict(
    type='FlowGuidedHRDAEncoderDecoder',
    # VIPER's; SYNTHIA-Seq has 12.
    decode_head=dict(head=dict(num_classes=15), scale_attention=dict(num_classes=15)),
)
