# hrda_daformer_mitb5.py for the 15 classes of VIPER.
_base_ = ['hrda_daformer_mitb5.py']

segmentor = dict(decode_head=dict(head=dict(num_classes=15), scale_attention=dict(num_classes=15)))
