# DAFormer on two frames: the logits of frame t and those of t-1, warped by optical flow, joined by a 1x1 convolution
# (QuadMix on video, arXiv 2311.13254). Backbone, normalisation and ImageNet weights, and what to do offline: see
# segformer_mitb5.py. The published video runs feed BGR minus its mean, undivided; the ImageNet weights of MiT were
# trained on RGB over its standard deviation, so this is what they get here, as on images. A converted published
# checkpoint of this network needs the published input: data_preprocessor=dict(_delete_=True, type='CaffePreprocessor').
_base_ = ['daformer_mitb5.py']

segmentor = dict(
    type='FlowGuidedEncoderDecoder',
    decode_head=dict(
        # VIPER's; SYNTHIA-Seq has 12.
        num_classes=15,
        # As published: the classifier starts as PyTorch's convolutions do.
        classifier_std=None,
        # Video methods average over labelled pixels, image methods over all.
        loss_decode=dict(type='ValidCrossEntropy'),
    ),
)
