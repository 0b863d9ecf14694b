"""Aligning the domains' mean scores per class: flow-guided spatio-temporal alignment.

Shapes: N batch, C classes, H, W cells of the scores; a set of centroids is (C, C), one row of mean scores per class.
Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254), "Flow-guided spatio-temporal
aggregation"; the kernel is that of Long et al. 2015 (DAN, arXiv 1502.02791).
"""

import torch
from torch import Tensor

from udass.models.ranks import sum_over_ranks
from udass.uda.pseudo_labels import two_class_logits

_KERNELS = 5
_FACTOR = 2.0


def class_centroids(
    scores: Tensor, labels: Tensor | None = None, min_pixels: int = 5, over_ranks: bool = True
) -> Tensor:
    """Mean scores of the pixels of each class, (C, C); a class with fewer than ``min_pixels`` pixels is a zero row.

    Args:
        scores: (N, C, H, W).
        labels: (N, H, W); only pixels whose largest score is that of their label count. None takes the class of the
            largest score.
        min_pixels: over the whole batch.
        over_ranks: the batches of all processes count as one, see `sum_over_ranks`.
    """
    scores = two_class_logits(scores)
    predicted = scores.argmax(dim=1)
    number = scores.shape[1]
    counted = torch.ones_like(predicted, dtype=torch.bool) if labels is None else predicted == labels
    vectors = scores.movedim(1, -1).reshape(-1, number)
    weight = counted.flatten().to(scores.dtype)
    index = predicted.flatten()
    sums = scores.new_zeros(number, number).index_add(0, index, vectors * weight[:, None])
    counts = scores.new_zeros(number).index_add(0, index, weight)
    if over_ranks:
        sums, counts = sum_over_ranks(sums), sum_over_ranks(counts)
    return sums / counts.clamp(min=1)[:, None] * (counts >= min_pixels)[:, None]


def maximum_mean_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of two sets of vectors (P, D) and (Q, D) under a sum of five Gaussian kernels.

    Their widths double from one to the next around the mean squared distance of all pairs, which is a constant for the
    gradient. Equal sets give 0 with a finite gradient, also if all vectors are one and the same.
    """
    vectors = torch.cat([first, second])
    distances = (vectors[:, None] - vectors[None]).square().sum(dim=-1)
    number = len(vectors)
    width = distances.detach().sum() / (number * number - number) / _FACTOR ** (_KERNELS // 2)
    width = width.clamp(min=torch.finfo(width.dtype).tiny)
    kernel = sum(torch.exp(-distances / (width * _FACTOR**power)) for power in range(_KERNELS))
    split = len(first)
    same = kernel[:split, :split].mean() + kernel[split:, split:].mean()
    return same - kernel[:split, split:].mean() - kernel[split:, :split].mean()
