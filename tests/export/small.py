"""Checkpoints of tiny networks with random weights, which carry their config."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from udass.export.folder import sample_image

CLASSES, PALETTE = ('road', 'car', 'sky'), [[128, 64, 128], [0, 0, 142], [70, 130, 180]]
# Of the convolutional backbone.
CHANNELS = [32, 48, 192, 96]
PIXELS = dict(
    type='PixelPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_val=0
)


def daformer(channels, fusion='aspp'):
    return dict(
        type='DAFormerHead', in_channels=channels, num_classes=3, embed_channels=8, channels=8, fusion=fusion,
        dilations=(1, 6, 12, 18),
    )  # fmt: skip


def segmentor(backbone, head, **settings):
    settings = dict(type='SlidingEncoderDecoder', data_preprocessor=PIXELS, test_cfg=dict(mode='whole')) | settings
    return dict(backbone=backbone, decode_head=head, **settings)


def convolutional(**settings):
    """Of 0.4 million parameters, at strides 4 to 32."""
    backbone = dict(type='TimmBackbone', name='test_resnet', out_indices=(1, 2, 3, 4), pretrained=False)
    return segmentor(backbone, daformer(CHANNELS), **settings)


def vit(backbone):
    width = 384
    neck = dict(type='MultiLevelNeck', in_channels=[width], out_channels=8, scales=[4, 2, 1, 0.5])
    return segmentor(backbone, daformer([8] * 4), neck=neck)


def save(config, path, pipeline=(), **meta):
    """Write a checkpoint of the network of this config."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    content = dict(model=config, test_dataloader=dict(dataset=dict(type='ImageFolder', pipeline=list(pipeline))))
    network = MODELS.build(Config(content).model)
    for parameter in network.decode_head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    # Each class is the most likely one somewhere.
    size, head = torch.Size((128, 128)), getattr(network.decode_head, 'head', network.decode_head)
    pixels = torch.from_numpy(sample_image(size)).permute(2, 0, 1)[None] / 64 - 2
    with torch.no_grad():
        head.conv_seg.bias -= network.eval().encode_decode(pixels, [dict(img_shape=size)]).mean(dim=(0, 2, 3))
    about = dict(cfg=Config(content).pretty_text, dataset_meta=dict(classes=CLASSES, palette=PALETTE), **meta)
    torch.save(dict(state_dict=network.state_dict(), meta=about), path)
    return path
