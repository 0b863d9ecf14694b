# ACCEL-DeepLabV2: the original DeepLabV2 on ResNet-101 at output stride 8, on two frames: the logits of frame t and
# those of t-1, warped by optical flow, joined by a 1x1 convolution (TPS, QuadMix on video, arXiv 2311.13254).
# ImageNet weights: Caffe's with their statistics, under the names of AdaptSegNet and ADVENT; fetched once from the URL
# below, which is from ADVENT's releases. (Detectron's files of the same network have the statistics folded into scale
# and shift: these would be wrong under the batch statistics of training.) Offline: put the file into torch's hub folder
# (~/.cache/torch/hub/checkpoints), or name your copy with
# `--cfg-options model.student.backbone.init_cfg.checkpoint=FILE`.
segmentor = dict(
    type='FlowGuidedEncoderDecoder',
    # BGR minus its mean, undivided: what these weights were trained on.
    data_preprocessor=dict(
        type='CaffePreprocessor', mean=[104.00698793, 116.66876762, 122.67891434], pad_val=0, seg_pad_val=255
    ),
    backbone=dict(
        type='CaffeResNet',
        depth=101,
        init_cfg=dict(
            type='StrictPretrained',
            checkpoint='https://github.com/valeoai/ADVENT/releases/download/v0.1/'
            'DeepLab_resnet_pretrained_imagenet.pth',
        ),
    ),
    decode_head=dict(
        type='ACCELHead',
        in_channels=2048,
        # VIPER's; SYNTHIA-Seq has 12.
        num_classes=15,
        channels=256,
        dilations=(6, 12, 18, 24),
        dropout_ratio=0.1,
        # Video methods average over labelled pixels, image methods over all.
        loss_decode=dict(type='ValidCrossEntropy'),
    ),
    # Guides the third stage in training; it has the main head's classes and passes the same fusion.
    auxiliary_head=dict(
        type='DLV2Head',
        in_channels=1024,
        in_index=2,
        num_classes=15,
        dilations=(6, 12, 18, 24),
        loss_decode=dict(type='ValidCrossEntropy', loss_weight=0.1),
    ),
    test_cfg=dict(mode='whole'),
)
