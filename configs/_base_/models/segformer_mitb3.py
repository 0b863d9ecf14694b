# SegFormer on MiT-B3; weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    backbone=dict(
        variant='b3',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b3_20220624-13b1141c.pth'
        ),
    )
)
