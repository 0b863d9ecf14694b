# DAFormer's decoder on the smallest MiT; weights of MiT-B0, and what to do offline: see segformer_mitb0.py.
_base_ = ['daformer_mitb5.py']

segmentor = dict(
    backbone=dict(
        variant='b0',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth')),
    decode_head=dict(in_channels=[32, 64, 160, 256]))
