# SegFormer on MiT-B1; weights, and what to do offline: see segformer_mitb5.py.
_base_ = ['segformer_mitb5.py']

segmentor = dict(
    backbone=dict(
        variant='b1',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b1_20220624-02e5a6a1.pth'
        ),
    ),
    # The authors' head is narrower for b0 and b1.
    decode_head=dict(channels=256),
)
