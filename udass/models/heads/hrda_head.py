"""The multi-resolution decoder of HRDA: one decoder at two scales, joined by a learned attention.

Shapes: N batch, C classes; h, w cells of the context logits.
Source: Hoyer et al. 2022 (arXiv 2204.13132).
"""

from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.losses.pixel_weight import PixelWeightMixin, weigh_heads
from udass.models.windows import Box


@MODELS.register_module()
class HRDAHead(BaseModule):
    """Decodes context and detail with one head and weighs them with an attention; the head of `HRDAEncoderDecoder`.

    Source of the variants of the attention: Hoyer et al. 2022, table 7; options ``attention_classwise`` and
    ``fixed_attention`` of the published code.

    Args:
        head: config of the decoder, applied to both scales.
        scale_attention: config of the decoder that computes the detail's weight from the context features. Its
            ``num_classes`` is that of ``head``, or 1 for one attention map that all classes share.
        detail_loss_weight: share of the detail's own loss; the fused logits' loss gets the rest.
        fixed_attention: constant weight of the detail, in [0, 1], instead of a ``scale_attention``.

    Raises:
        ValueError, TypeError: these do not go together, or the decoder has a loss of its own.
    """

    def __init__(
        self,
        head: dict,
        scale_attention: dict | None = None,
        detail_loss_weight: float = 0.1,
        fixed_attention: float | None = None,
    ) -> None:
        super().__init__()
        if (scale_attention is None) == (fixed_attention is None):
            raise ValueError(
                'HRDAHead weighs the detail either by a learned scale_attention or by a fixed_attention; got '
                f'scale_attention={scale_attention} and fixed_attention={fixed_attention}: set one of them to None'
            )
        for name, value in dict(fixed_attention=fixed_attention, detail_loss_weight=detail_loss_weight).items():
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f'{name} of HRDAHead is a share, in [0, 1]; got {value}')
        self.head = MODELS.build(head)
        self.scale_attention = None if scale_attention is None else MODELS.build(scale_attention)
        self.fixed_attention: Any = fixed_attention  # a number where there is no scale_attention
        self.detail_loss_weight = detail_loss_weight
        weigh_heads(self)
        if not isinstance(self.head, PixelWeightMixin):
            raise TypeError(
                f'{type(self.head).__name__} computes its loss by itself, which HRDAHead cannot do for two scales: use '
                'DAFormerHead, DLV2Head or SegFormerMLPHead'
            )
        for name in () if self.scale_attention is None else ('num_classes', 'out_channels'):
            found, expected = getattr(self.scale_attention, name), getattr(self.head, name)
            if found not in (1, expected):
                raise ValueError(
                    f'the scale attention weighs every class: its {name} must be that of the head, {expected}, or 1 '
                    f'for one map that all classes share; got {found}'
                )
        # Attributes that mmseg's segmentors read from their decode head.
        self.align_corners = self.head.align_corners
        self.num_classes = self.head.num_classes
        self.out_channels = self.head.out_channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits of one scale."""
        return self.head(features)

    def attention(self, features: list[Tensor]) -> Tensor | float:
        """Weight of the detail from the context features: (N, C, h, w) or (N, 1, h, w) in [0, 1], or one number."""
        return self.fixed_attention if self.scale_attention is None else self.scale_attention(features).sigmoid()

    def pixel_loss(
        self, fused: Tensor, detail: Tensor, box: Box, labels: Tensor, weights: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses of the fused logits (N, C, H, W), and under ``hr.`` of the detail's (N, C, bh, bw) of the pixels
        inside ``box`` alone, their shares included; labels and weights (or None) are (N, H, W)."""
        losses = self.head.pixel_loss(fused, labels, weights)
        details = self.head.pixel_loss(detail, box.cut(labels), None if weights is None else box.cut(weights))
        return {
            **{name: value * (1 - self.detail_loss_weight) for name, value in losses.items()},
            **{f'hr.{name}': value * self.detail_loss_weight for name, value in details.items()},
        }


def fuse_scales(
    context: Tensor,
    attention: Tensor | float,
    detail: Tensor,
    context_box: Box,
    detail_box: Box,
    ratio: int,
    align_corners: bool = False,
) -> Tensor:
    """(1 - attention) * context + attention * detail on the grid of the detail, (N, C, ratio * h, ratio * w); context
    alone outside the box. Context and attention are enlarged after their product, as in the reference.

    Args:
        context: (N, C, h, w).
        attention: (N, C, h, w) in [0, 1], (N, 1, h, w) for all classes alike, or a number for all cells alike.
        detail: logits of the box, (N, C, detail_box.size).
        context_box, detail_box: where the detail lies, in cells of the context and in its own.
        ratio: how many times finer the cells of the detail are.
    """
    size = (context.shape[2] * ratio, context.shape[3] * ratio)
    if not isinstance(attention, Tensor):
        attention = context.new_full((1, 1, *context.shape[2:]), attention)
    covers_all = detail_box.size == size
    if not covers_all:
        inside = torch.zeros_like(attention[:1, :1])
        context_box.cut(inside).fill_(1)
        attention = attention * inside
    context = resize((1 - attention) * context, size=size, mode='bilinear', align_corners=align_corners)
    attention = resize(attention, size=size, mode='bilinear', align_corners=align_corners)
    if not covers_all:
        canvas = detail.new_zeros(context.shape)
        detail_box.cut(canvas).copy_(detail)
        detail = canvas
    return attention * detail + context
