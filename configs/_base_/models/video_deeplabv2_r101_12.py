# video_deeplabv2_r101.py for the 12 classes of SYNTHIA-Seq.
_base_ = ['video_deeplabv2_r101.py']

segmentor = dict(decode_head=dict(num_classes=12), auxiliary_head=dict(num_classes=12))
