"""Small networks for tests: MiT-B0 under narrow heads, and a shallow ResNet under those of ACCEL."""

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.backbones.resnet import Bottleneck
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from udass.models.backbones import CaffeResNet

CLASSES = 4
_MIT = [32, 64, 160, 256]


@MODELS.register_module()
class ShallowCaffeResNet(CaffeResNet):
    """One block in each stage, in place of 3, 4, 6 and 3."""

    arch_settings = {50: (Bottleneck, (1, 1, 1, 1))}


def daformer_head(**changes: object) -> dict:
    return dict(
        type='DAFormerHead',
        in_channels=_MIT,
        num_classes=CLASSES,
        embed_channels=8,
        channels=16,
        dilations=(1, 2),
        dropout_ratio=0.0,
        **changes,
    )


def segmentor(**changes: object) -> nn.Module:
    """DAFormer's head on MiT-B0, as changed."""
    backbone = dict(type='MiT', variant='b0', drop_path_rate=0.0)
    return build({**dict(backbone=backbone, decode_head=daformer_head(), test_cfg=dict(mode='whole')), **changes})


def plain(**changes: object) -> nn.Module:
    return segmentor(**{'type': 'SlidingEncoderDecoder', **changes})


def hrda(**changes: object) -> nn.Module:
    """HRDA with detail crops of 64x64."""
    head = dict(type='HRDAHead', head=daformer_head(), scale_attention=daformer_head(fusion='conv'))
    options = dict(type='HRDAEncoderDecoder', decode_head=head, output_stride=4, crop_size=(64, 64))
    return segmentor(**{**options, **changes})


def video(**changes: object) -> nn.Module:
    """The network of `plain` on two frames."""
    return segmentor(type='FlowGuidedEncoderDecoder', **changes)


def accel() -> nn.Module:
    """ACCEL-DeepLabV2 with narrow heads."""
    main = dict(type='ACCELHead', in_channels=2048, num_classes=CLASSES, channels=8, dropout_ratio=0.0)
    loss = dict(type='ValidCrossEntropy', loss_weight=0.1)
    auxiliary = dict(type='DLV2Head', in_channels=1024, in_index=2, num_classes=CLASSES, loss_decode=loss)
    return video(backbone=dict(type='ShallowCaffeResNet', depth=50), decode_head=main, auxiliary_head=auxiliary)


def build(config: dict) -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    network = MODELS.build(ConfigDict(config))
    # Batch norm that scales, so that its modes give different logits.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def samples(labels: Tensor, weights: Tensor | None = None) -> list[SegDataSample]:
    """Data samples of labels (N, H, W) and weights (N, H, W)."""
    out = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    for sample, weight in zip(out, [] if weights is None else weights, strict=weights is not None):
        sample.gt_pixel_weight = PixelData(data=weight[None])
    return out
