# benchmark_daformer_mitb0.py with DAFormer's decoder (daformer_mitb5.py), as published.
_base_ = ['benchmark_daformer_mitb0.py']
model = dict(
    student=dict(
        decode_head=dict(
            _delete_=True,
            type='DAFormerHead',
            in_channels=[32, 64, 160, 256],
            num_classes=19,
            embed_channels=256,
            channels=256,
            fusion='aspp',
            dilations=(1, 6, 12, 18),
            dropout_ratio=0.1,
        )
    )
)
