"""QuadMix in feature space: decoder features of one mixed image inside another.

Shapes: N batch, E channels of the decoder's joined embedding, h, w its cells, H, W pixels.
Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254); the published code computes the
mixed feature and then overwrites it, here it is used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn


def mix_features(own: Tensor, other: Tensor, mask: Tensor, mix_ratio: float) -> Tensor:
    """mix_ratio * own + (1 - mix_ratio) * other inside the mask, ``own`` outside.

    Args:
        own, other: (N, E, h, w).
        mask: (N, 1, H, W) bool at pixel size; its nearest pixel decides for a cell.
    """
    # In mixed precision the features are half, and lerp wants one type.
    inside = F.interpolate(mask.float(), size=own.shape[-2:], mode='nearest').to(own.dtype)
    return torch.lerp(own, other.to(own.dtype), (1 - mix_ratio) * inside)


@MODELS.register_module()
class FeatureMixing:
    """Keeps what the decoder's fusion layer is given in the pass TSS and mixes it into that of the pass TST.

    The other pass's features carry a gradient only where all passes have one backward.

    Args:
        mix_ratio: share of a pass's own features inside the pasted masks, in [0, 1].
        start_iter: first iteration that mixes (the published video runs: 8000).

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(self, mix_ratio: float = 0.7, start_iter: int = 0) -> None:
        if not 0 <= mix_ratio <= 1 or start_iter < 0:
            raise ValueError(
                f'mix_ratio is in [0, 1] and start_iter an iteration (0 or more); got {mix_ratio} and {start_iter}'
            )
        self.mix_ratio = mix_ratio
        self.start_iter = start_iter

    @contextmanager
    def keep(self, segmentor: nn.Module, kept: list[Tensor], with_graph: bool = False) -> Iterator[None]:
        """Collects in ``kept`` what the fusion layer is given in each call inside the block (HRDA: context, detail)."""
        handle = fusion_layer(segmentor).register_forward_pre_hook(
            lambda module, args: kept.append(args[0] if with_graph else args[0].detach())
        )
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def mix(self, segmentor: nn.Module, others: Sequence[Tensor], masks: Sequence[Tensor]) -> Iterator[None]:
        """Mixes the kept features into those of the first calls of the fusion layer inside the block.

        Args:
            others: from `keep`, in the order of the calls.
            masks: (N, 1, H, W) bool, one for each of the calls that mix, see `mix_features`; the features of later
                calls (the frame before in video) stay as they are, as published.
        """
        pairs = iter(zip(others, masks, strict=False))

        def replace(module: nn.Module, args: tuple[Tensor]) -> Tensor | None:
            pair = next(pairs, None)
            return None if pair is None else mix_features(args[0], *pair, self.mix_ratio)

        handle = fusion_layer(segmentor).register_forward_pre_hook(replace)
        try:
            yield
        finally:
            handle.remove()


def fusion_layer(segmentor: nn.Module) -> nn.Module:
    """The layer that joins the embeddings of the stages: ``fuse_layer`` of a DAFormerHead, HRDA's included.

    Raises:
        ValueError: the decoder has none.
    """
    head = getattr(segmentor.decode_head, 'head', segmentor.decode_head)
    if not hasattr(head, 'fuse_layer'):
        raise ValueError(
            f'feature_mixing mixes what a DAFormerHead fuses; {type(head).__name__} has no fuse_layer: '
            'use a DAFormerHead, or leave model.feature_mixing out'
        )
    return head.fuse_layer
