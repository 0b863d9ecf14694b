# EfficientNet-Lite0 with ImageNet weights under a light decoder: the network of the small runs on photographs.
# Weights: timm's hub by default; without a connection set UDASS_WEIGHTS to a file under timm's key names.
import os

_base_ = ['small_resnet10t.py']

segmentor = dict(
    # How these weights were trained: pixels in [-1, 1].
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TimmBackbone',
        name='tf_efficientnet_lite0',
        # Strides 4, 8, 16, 32.
        out_indices=(1, 2, 3, 4),
        checkpoint=os.environ.get('UDASS_WEIGHTS'),
    ),
    decode_head=dict(in_channels=[24, 40, 112, 320], num_classes=11),
)
