# HRDA (Hoyer et al. 2022, arXiv 2204.13132) with DAFormer's network; MIC and QuadMix use it too.
# Backbone, normalisation and ImageNet weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    type='HRDAEncoderDecoder',
    # Trained on 1024x1024 crops: the context is the whole crop at half size, the detail a quarter of it at full size.
    scales=(0.5, 1.0),
    crop_size=(512, 512),
    # DAFormer's head predicts at the finest stage of the MiT.
    output_stride=4,
    decode_head=dict(
        _delete_=True,
        type='HRDAHead',
        head=dict(
            type='DAFormerHead',
            in_channels=[64, 128, 320, 512],
            num_classes=19,
            embed_channels=256,
            channels=256,
            fusion='aspp',
            dilations=(1, 6, 12, 18),
            dropout_ratio=0.1,
        ),
        # The attention needs no wide context: its fusion is one 1x1 convolution.
        scale_attention=dict(
            type='DAFormerHead',
            in_channels=[64, 128, 320, 512],
            num_classes=19,
            embed_channels=256,
            channels=256,
            fusion='conv',
            dropout_ratio=0.1,
        ),
        detail_loss_weight=0.1,
    ),
    # Windows of the training crop with half overlap; max_batch bounds how many go through the network at once.
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512), max_batch=4),
)
