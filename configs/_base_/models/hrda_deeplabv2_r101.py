# HRDA (Hoyer et al. 2022, arXiv 2204.13132) with DeepLabV2.
# Backbone, normalisation and ImageNet weights, and what to do offline: see deeplabv2_r101.py.
_base_ = ['deeplabv2_r101.py']

segmentor = dict(
    type='HRDAEncoderDecoder',
    # Trained on 1024x1024 crops: the context is the whole crop at half size, the detail a quarter of it at full size.
    scales=(0.5, 1.0),
    crop_size=(512, 512),
    # That of the dilated ResNet.
    output_stride=8,
    decode_head=dict(
        _delete_=True,
        type='HRDAHead',
        head=dict(type='DLV2Head', in_channels=2048, num_classes=19, dilations=(6, 12)),
        scale_attention=dict(type='DLV2Head', in_channels=2048, num_classes=19, dilations=(6, 12)),
        detail_loss_weight=0.1,
    ),
    # Windows of the training crop with half overlap; max_batch bounds how many go through the network at once.
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512), max_batch=4),
)
