# SegFormer on MiT-B0; weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    backbone=dict(
        variant='b0',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth'
        ),
    ),
    # The authors' head is narrower for b0 and b1.
    decode_head=dict(in_channels=[32, 64, 160, 256], channels=256),
)
