# small_resnet10t.py on two frames: the logits of the frame before, warped by optical flow, help to segment a frame.
_base_ = ['small_resnet10t.py']

segmentor = dict(
    type='FlowGuidedEncoderDecoder',
    # Video methods average over labelled pixels, image methods over all.
    decode_head=dict(loss_decode=dict(_delete_=True, type='ValidCrossEntropy')),
)
