# video_vfmuda_vitb.py for the 12 classes of SYNTHIA-Seq.
_base_ = ['video_vfmuda_vitb.py']

segmentor = dict(decode_head=dict(num_classes=12))
