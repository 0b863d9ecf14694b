# DAFormer (Hoyer et al. 2022, arXiv 2111.14887): MiT-B5 under the context-aware fusion.
# Backbone, normalisation and ImageNet weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    decode_head=dict(
        _delete_=True,
        type='DAFormerHead',
        in_channels=[64, 128, 320, 512],
        num_classes=19,
        embed_channels=256,
        channels=256,
        fusion='aspp',
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
    )
)
