# SegFormer on MiT-B2; weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    backbone=dict(
        variant='b2',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b2_20220624-66e8bf70.pth'
        ),
    )
)
