# video_daformer_mitb5.py for the 12 classes of SYNTHIA-Seq.
_base_ = ['video_daformer_mitb5.py']

segmentor = dict(decode_head=dict(num_classes=12))
