# The network of TPS (arXiv 2203.12356): video_accel_deeplabv2_r101.py with the plain decoder of DeepLabV2, four dilated
# convolutions straight to the classes.
_base_ = ['video_accel_deeplabv2_r101.py']

segmentor = dict(
    decode_head=dict(
        _delete_=True,
        type='DLV2Head',
        in_channels=2048,
        # VIPER's; SYNTHIA-Seq has 12.
        num_classes=15,
        dilations=(6, 12, 18, 24),
        # Video methods average over labelled pixels, image methods over all.
        loss_decode=dict(type='ValidCrossEntropy'),
    )
)
