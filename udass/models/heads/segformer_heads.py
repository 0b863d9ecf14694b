"""SegFormer decoders: mmseg's, and that of its authors with linear embeddings without norm or activation.

Shapes: N batch, C classes; stage i is (N, C_i, h_i, w_i), finest first.
Source: Xie et al. 2021 (arXiv 2105.15203).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import SegformerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.losses.pixel_weight import PixelWeightMixin


@MODELS.register_module()
class WeightedSegformerHead(PixelWeightMixin, SegformerHead):
    """mmseg's SegformerHead under the pixel-weighted loss."""


class MLPEmbedding(nn.Module):
    """One linear layer on every cell: (N, in_channels, h, w) to (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        tokens = features.flatten(2).transpose(1, 2)
        return self.proj(tokens).transpose(1, 2).unflatten(2, features.shape[2:])


@MODELS.register_module()
class SegFormerMLPHead(PixelWeightMixin, BaseDecodeHead):
    """Embeds each stage, joins them at the finest one's size and classifies.

    mmseg's own SegformerHead embeds with convolution, norm and ReLU, so that published weights do not fit it. Module
    names are those of the DAFormer code base's files, which also contain an unused ``conv_seg``; here there is none.

    Args:
        in_channels: channels of the stages, finest first.
        num_classes: C.
        channels: channels of each embedding and of the fused map (256 for b0 and b1, 768 for the larger ones; the
            models of the DAFormer code base have 768 throughout).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        channels: int = 768,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = None,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_decode: dict | None = None,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg or dict(type='BN'),
            in_index=list(range(len(in_channels))),
            input_transform='multiple_select',
            align_corners=align_corners,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=dict(type='Normal', std=0.01, override=dict(name='linear_pred')),
        )
        del self.conv_seg  # of the base class; parameters without a gradient are trouble under DDP
        self.linear_c = nn.ModuleList(MLPEmbedding(stage, channels) for stage in self.in_channels)
        self.linear_fuse = ConvModule(channels * len(self.in_channels), channels, 1, norm_cfg=self.norm_cfg)
        self.linear_pred = nn.Conv2d(channels, num_classes, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, h_0, w_0) of the stages' features."""
        embedded = [layer(stage) for layer, stage in zip(self.linear_c, self._transform_inputs(inputs), strict=True)]
        fused = fuse_stages(self.linear_fuse, embedded, self.align_corners)
        return self.linear_pred(fused if self.dropout is None else self.dropout(fused))


def fuse_stages(layer: ConvModule, embedded: Sequence[Tensor], align_corners: bool) -> Tensor:
    """A 1x1 convolution (with norm and activation) of all stages' embeddings (N, E_i, h_i, w_i), finest first, enlarged
    and joined: (N, E, h_0, w_0).

    The convolution is the sum of those of each stage, and it commutes with the enlargement. Applied first, it never
    needs the channels of all stages side by side, and all products but one are of small maps.
    """
    weights = layer.conv.weight.split([stage.shape[1] for stage in embedded], dim=1)
    fused, *parts = [F.conv2d(stage, weight) for stage, weight in zip(embedded, weights, strict=True)]
    for part in parts:
        fused = fused + resize(part, size=fused.shape[2:], mode='bilinear', align_corners=align_corners)
    return layer.activate(layer.norm(fused))
