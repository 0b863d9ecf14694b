"""Pseudo-labels of the target from the teacher's logits.

Shapes: N batch, T frames, C classes, H, W pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.flow.warping import warp
from udass.io.labels import IGNORE_INDEX
from udass.models.precision import at_least_float32
from udass.models.ranks import share_over_ranks
from udass.uda.clip import Clip


class PseudoLabel(NamedTuple):
    """Attributes: labels (N, H, W) int64; confidence (N, H, W), the largest probability; weights (N, H, W)."""

    labels: Tensor
    confidence: Tensor
    weights: Tensor


def pseudo_labelled(frames: Tensor, flow: Tensor | None, known: Sequence[PseudoLabel]) -> Clip:
    """The clip of frames (N, T, 3, H, W) and flow whose first frames have these labels; the others are ignored."""
    others = (0, 0, 0, 0, 0, frames.shape[1] - len(known))
    labels, confidence, weights = (torch.stack(maps, dim=1) for maps in zip(*known, strict=True))
    return Clip(
        frames=frames,
        labels=F.pad(labels, others, value=IGNORE_INDEX),
        weights=F.pad(weights, others),
        confidence=F.pad(confidence, others),
        flow=flow,
    )


def two_class_logits(logits: Tensor) -> Tensor:
    """Logits (N, 2, H, W) whose softmax is the sigmoid of logits (N, 1, H, W) of a binary head; others as they are."""
    return logits if logits.shape[1] != 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)


@MODELS.register_module()
class ConfidencePseudoLabels:
    """Argmax labels; the weight of every pixel is the share of confident pixels in the whole batch.

    Source: DACS (Tranheden et al. 2021), section 3.3; margins from DAFormer (Hoyer et al. 2022).

    Args:
        threshold: smallest confidence of a confident pixel, in [0, 1].
        use_margins: give the margins that the loader marks (``PseudoMargins``) weight 0, though they count in the
            share, as in the reference; DACS trusts them.
        over_ranks: the share is that of the batches of all processes together.
        two_views: the teacher also segments the mirrored images, and the probabilities are the mean of both (VFM-UDA).
    """

    def __init__(
        self, threshold: float = 0.968, use_margins: bool = True, over_ranks: bool = True, two_views: bool = False
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'threshold is a probability in [0, 1]; got {threshold}')
        self.threshold, self.use_margins = threshold, use_margins
        self.over_ranks, self.two_views = over_ranks, two_views

    def __call__(self, logits: Tensor, valid: Tensor | None = None, mirrored: Tensor | None = None) -> PseudoLabel:
        """Pseudo-labels for logits (N, C, H, W), or (N, 1, H, W) of a binary head; ``valid`` (N, 1, H, W) is False or 0
        in the margins, ``mirrored`` are the logits of the mirrored images, mirrored back."""
        # In mixed precision a half-precision sum would be coarser than the threshold.
        logits = two_class_logits(at_least_float32(logits))
        if mirrored is None:
            # max(softmax) = 1 / sum(exp(logit - max)): no full map of probabilities is kept.
            best, labels = logits.max(dim=1)
            confidence = (logits - best[:, None]).exp_().sum(dim=1).reciprocal_()
        else:
            views = logits, two_class_logits(at_least_float32(mirrored))
            confidence, labels = torch.stack([view.softmax(dim=1) for view in views]).mean(dim=0).max(dim=1)
        confident = confidence >= self.threshold
        share = share_over_ranks(confident, logits.dtype) if self.over_ranks else confident.to(logits.dtype).mean()
        weights = share.expand_as(confidence)
        if valid is not None and self.use_margins:
            weights = weights * valid.reshape(confidence.shape).to(weights.dtype)
        return PseudoLabel(labels, confidence, weights)


@MODELS.register_module()
class CrossFramePseudoLabels:
    """Labels of frame t from the teacher's probabilities of the past pair, warped to t (TPS).

    Every label has weight 1; margins that the loader marks (``PseudoMargins``) have weight 0.

    Args:
        flip_probability: how often the teacher segments the past pair mirrored, drawn once per iteration; its logits
            are mirrored back.
    """

    def __init__(self, flip_probability: float = 0.0) -> None:
        if not 0 <= flip_probability <= 1:
            raise ValueError(f'flip_probability is in [0, 1]; got {flip_probability}')
        self.flip_probability = flip_probability

    def draw_flip(self, generator: Generator) -> bool:
        """Whether the past pair is mirrored in this iteration."""
        # With probability 0 nothing is drawn, so that the random streams of methods without it stay as they are.
        return self.flip_probability > 0 and torch.rand(1, generator=generator).tolist()[0] < self.flip_probability

    def __call__(self, logits: Tensor, flow: Tensor | None = None, valid: Tensor | None = None) -> PseudoLabel:
        """Labels of a frame from logits (N, C, H, W) of another one and the flow (N, 2, H, W) to it, or from its own
        without flow; ``valid`` (N, 1, H, W) is False in the margins."""
        probabilities = two_class_logits(at_least_float32(logits)).softmax(dim=1)
        confidence, labels = (probabilities if flow is None else warp(probabilities, flow)).max(dim=1)
        weights = torch.ones_like(confidence)
        return PseudoLabel(labels, confidence, weights if valid is None else weights * valid[:, 0])
