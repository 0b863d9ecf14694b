"""Labels for the target from the teacher's scores.

Shapes: N batch, C classes, H, W pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.precision import at_least_float32
from udass.models.ranks import share_over_ranks
from udass.uda.clip import IGNORE, Clip


@dataclass(frozen=True)
class PseudoLabel:
    """Attributes: labels (N, H, W) int64; confidence (N, H, W), the largest softmax score; weights (N, H, W)."""

    labels: Tensor
    confidence: Tensor
    weights: Tensor

    def clip(self, frames: Tensor, flow: Tensor | None) -> Clip:
        """Frames (N, T, 3, H, W) with their flow and the labels of frame 0; the other frames are ignored."""
        others = (0, 0, 0, 0, 0, frames.shape[1] - 1)
        return Clip(
            frames=frames,
            labels=F.pad(self.labels[:, None], others, value=IGNORE),
            weights=F.pad(self.weights[:, None], others),
            confidence=F.pad(self.confidence[:, None], others),
            flow=flow,
        )


def two_class_logits(logits: Tensor) -> Tensor:
    """Logits (N, 2, H, W) whose softmax is the sigmoid of logits (N, 1, H, W) of a binary head; others as they are.

    Softmax of (0, z) gives the second class 1 / (1 + exp(-z)).
    """
    return logits if logits.shape[1] != 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)


def pseudo_label(logits: Tensor, threshold: float, valid: Tensor | None = None, over_ranks: bool = True) -> PseudoLabel:
    """Argmax labels; every pixel weighs the share of pixels of the whole batch whose confidence reaches the threshold.

    Args:
        logits: (N, C, H, W), or (N, 1, H, W) of a binary head with sigmoid: class 1 where the logit is above 0.
        threshold: smallest confidence that counts into the share, in [0, 1] (reference: 0.968).
        valid: (N, H, W) or (N, 1, H, W) bool or float; pixels that are not trusted (image margins) get weight 0. They
            still count in the share, as in the reference.
        over_ranks: the share is that of the batches of all processes together.

    Source: DACS (Tranheden et al. 2021), section 3.3; margins from DAFormer (Hoyer et al. 2022).
    """
    # max(softmax) = 1 / sum(exp(logit - max)): no full softmax map is kept.
    # In mixed precision a half-precision sum would be coarser than the threshold.
    logits = two_class_logits(at_least_float32(logits))
    best, labels = logits.max(dim=1)
    confidence = (logits - best[:, None]).exp_().sum(dim=1).reciprocal_()
    confident = confidence >= threshold
    share = share_over_ranks(confident, logits.dtype) if over_ranks else confident.to(logits.dtype).mean()
    weights = share.expand_as(confidence)
    if valid is not None:
        weights = weights * valid.reshape(confidence.shape).to(weights.dtype)
    return PseudoLabel(labels=labels, confidence=confidence, weights=weights)


@MODELS.register_module()
class ConfidencePseudoLabels:
    """`pseudo_label` as a component.

    Args:
        threshold: see `pseudo_label`.
        use_margins: give the margins that the loader marks (``PseudoMargins``) weight 0; DACS trusts them.
        over_ranks: see `pseudo_label`.

    Raises:
        ValueError: a threshold outside [0, 1].
    """

    def __init__(self, threshold: float = 0.968, use_margins: bool = True, over_ranks: bool = True) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'threshold is a softmax score in [0, 1]; got {threshold}')
        self.threshold = threshold
        self.use_margins = use_margins
        self.over_ranks = over_ranks

    def __call__(self, logits: Tensor, valid: Tensor | None = None) -> PseudoLabel:
        """Pseudo-labels of scores (N, C, H, W); ``valid`` (N, 1, H, W) as in `pseudo_label`."""
        return pseudo_label(logits, self.threshold, valid if self.use_margins else None, self.over_ranks)
