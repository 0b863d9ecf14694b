"""QuadMix in feature space: decoder features of one mixed image inside another.

Shapes: N batch, E channels of the decoder's joined embedding, h, w size of the features, H, W pixels.
Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254). The published code computes the
mixed features and then overwrites them; here they are used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn


def mix_features(own: Tensor, other: Tensor, mask: Tensor, mix_ratio: float) -> Tensor:
    """``mix_ratio * own + (1 - mix_ratio) * other`` inside the mask, ``own`` outside.

    Args:
        own, other: (N, E, h, w).
        mask: (N, 1, H, W) bool, brought to (h, w) by the nearest pixel.
    """
    # In mixed precision the features are half, and lerp takes one type.
    inside = F.interpolate(mask.float(), size=own.shape[-2:], mode='nearest').to(own.dtype)
    return torch.lerp(own, other.to(own.dtype), (1 - mix_ratio) * inside)


@MODELS.register_module()
class FeatureMixing:
    """Records the input of the decoder's fusion layer in the pass TSS and mixes it into that of the pass TST.

    The features of the other pass have a gradient only if all passes have one backward.

    Args:
        mix_ratio: share of a pass's own features inside the pasted masks, in [0, 1].
        start_iter: first iteration that mixes (the published video runs: 8000).
    """

    def __init__(self, mix_ratio: float = 0.7, start_iter: int = 0) -> None:
        if not 0 <= mix_ratio <= 1 or start_iter < 0:
            raise ValueError(f'mix_ratio is in [0, 1] and start_iter 0 or more; got {mix_ratio} and {start_iter}')
        self.mix_ratio = mix_ratio
        self.start_iter = start_iter

    @contextmanager
    def record(self, segmentor: nn.Module, with_graph: bool = False) -> Iterator[list[Tensor]]:
        """Yields a list that collects the input of each call of the fusion layer inside the block (HRDA: of context
        and detail)."""
        features: list[Tensor] = []
        handle = fusion_layer(segmentor).register_forward_pre_hook(
            lambda module, args: features.append(args[0] if with_graph else args[0].detach())
        )
        try:
            yield features
        finally:
            handle.remove()

    @contextmanager
    def mix(self, segmentor: nn.Module, others: Sequence[Tensor], masks: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        """Mixes recorded features into those of the first calls of the fusion layer inside the block; yields [].

        Args:
            others: from `record`, in the order of the calls.
            masks: (N, 1, H, W) bool, one for each call that mixes. The features of later calls (of the frame before in
                video) stay as they are, as published.
        """
        pairs = iter(zip(others, masks, strict=False))

        def replace(module: nn.Module, args: tuple[Tensor]) -> Tensor | None:
            pair = next(pairs, None)
            return None if pair is None else mix_features(args[0], *pair, self.mix_ratio)

        handle = fusion_layer(segmentor).register_forward_pre_hook(replace)
        try:
            yield []
        finally:
            handle.remove()


def fusion_layer(segmentor: Any) -> nn.Module:
    """The layer that joins the embeddings of the stages: ``fuse_layer`` of a DAFormerHead, also inside HRDA's head."""
    head = getattr(segmentor.decode_head, 'head', segmentor.decode_head)
    if not hasattr(head, 'fuse_layer'):
        raise ValueError(
            f'feature_mixing mixes what a DAFormerHead fuses; {type(head).__name__} has no fuse_layer: '
            'use a DAFormerHead, or leave model.feature_mixing out'
        )
    return head.fuse_layer
