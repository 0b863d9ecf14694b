"""Losses on unlabelled target logits: entropy, a discriminator of the domains, and the distance of class means.

Shapes: N batch, C classes, H, W pixels, h, w size of logits or of the discriminator's output.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.func import functional_call

from udass.models.precision import at_least_float32
from udass.models.ranks import sum_over_ranks
from udass.uda.networks import unwrap
from udass.uda.pseudo_labels import two_class_logits

# Targets of the discriminator.
_SOURCE, _TARGET = 0.0, 1.0
# Five convolutions of stride 2.
_DISCRIMINATOR_STRIDE = 32


def normalized_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the pixels' probabilities, as a share of the largest possible one; logits (N, C, H, W).

    Source: ADVENT (Vu et al. 2019, arXiv 1811.12833), equations 2 and 3.
    """
    log_probabilities = at_least_float32(logits).log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    return entropy.mean() / math.log(logits.shape[1])


def domain_loss(answers: Tensor, domain: float) -> Tensor:
    """Least squares: the mean squared distance of the discriminator's output (N, 1, h, w) to a domain's number."""
    return (at_least_float32(answers) - domain).square().mean()


@MODELS.register_module()
class EntropyMinimization(nn.Module):
    """MinEnt: predictions on the target should be certain.

    Args:
        num_classes: C; the adapter fills it in.
        weight: factor of `normalized_entropy` in the loss (ADVENT: 0.001).
    """

    def __init__(self, num_classes: int, weight: float = 0.001) -> None:
        super().__init__()
        if weight < 0 or num_classes < 2:
            raise ValueError(
                f'weight is a factor of the loss, 0 or more, and num_classes 2 or more; got {weight} and {num_classes}'
            )
        self.weight = weight

    def target_losses(self, logits: Tensor) -> dict[str, Tensor]:
        """The student's loss for target logits (N, C, H, W)."""
        return {'loss_entropy': self.weight * normalized_entropy(logits)}


@MODELS.register_module()
class AdversarialAlignment(nn.Module):
    """AdvSeg: a discriminator tells the domains' probabilities apart, the student's target predictions deceive it.

    The discriminator has its own optimizer (see `ChildOptimWrapperConstructor`) and learns from detached logits of the
    same iteration by least squares: 0 for the source, 1 for the target.

    Source: Tsai et al. 2018 (AdaptSegNet, arXiv 1802.10349), single level.

    Args:
        num_classes: C; the adapter fills it in.
        weight: factor of the student's adversarial loss.
        channels: channels of the discriminator's first convolution; the next three double them.
        train_with_student: the student's optimizer also steps on the discriminator's gradients, before its own does,
            as in the published code of MIC.
    """

    def __init__(
        self, num_classes: int, weight: float = 0.001, channels: int = 64, train_with_student: bool = False
    ) -> None:
        super().__init__()
        if weight < 0 or channels < 1:
            raise ValueError(f'weight is a factor of the loss, 0 or more, and channels >= 1; got {weight}, {channels}')
        self.weight, self.train_with_student = weight, train_with_student
        widths = [num_classes, channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1))

    def forward(self, logits: Tensor) -> Tensor:
        """The discriminator's output (N, 1, H // 32, W // 32) for logits (N, C, H, W); ValueError if the image is too
        small."""
        if min(logits.shape[-2:]) < _DISCRIMINATOR_STRIDE:
            raise ValueError(
                f'AdversarialAlignment needs crops of at least {_DISCRIMINATOR_STRIDE} pixels on each '
                f'side; got {tuple(logits.shape[-2:])}'
            )
        return self.layers(logits.softmax(dim=1))

    def target_losses(self, logits: Tensor) -> dict[str, Tensor]:
        """The student's loss for target logits (N, C, H, W); the discriminator gets no gradient from it."""
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return {'loss_adversarial': self.weight * domain_loss(functional_call(self, frozen, (logits,)), _SOURCE)}


def train_discriminator(
    adaptation_loss: nn.Module,
    source: Tensor,
    target: Tensor,
    optim_wrapper: OptimWrapper,
    student_optim_wrapper: OptimWrapper,
) -> dict[str, Tensor]:
    """One step of the discriminator (an `AdversarialAlignment`, with or without DDP) on detached logits (N, C, H, W) of
    both domains; with ``train_with_student`` the student's optimizer steps on the same gradients first. Returns its two
    losses, each already halved, for the log.
    """
    losses = {}
    for name, logits, domain in (('source', source, _SOURCE), ('target', target, _TARGET)):
        with optim_wrapper.optim_context(adaptation_loss):
            loss = domain_loss(adaptation_loss(logits), domain) / 2
        optim_wrapper.backward(loss)
        losses[f'discriminator.{name}'] = loss.detach()
    if unwrap(adaptation_loss).train_with_student:
        # The gradients of the student are gone already: only the discriminator moves.
        student_optim_wrapper.step()
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    return losses


def class_centroids(
    logits: Tensor, labels: Tensor | None = None, min_pixels: int = 5, over_ranks: bool = True
) -> Tensor:
    """Mean logits of the pixels of each class, (C, C); a class of fewer than ``min_pixels`` pixels is a zero row.

    Args:
        logits: (N, C, h, w).
        labels: (N, h, w); only correctly classified pixels count. None takes the predicted class.
        min_pixels: over the whole batch, and with ``over_ranks`` over those of all processes, see `sum_over_ranks`.
    """
    logits = two_class_logits(logits)
    predicted = logits.argmax(dim=1)
    number = logits.shape[1]
    counted = torch.ones_like(predicted, dtype=torch.bool) if labels is None else predicted == labels
    vectors = logits.movedim(1, -1).reshape(-1, number)
    weight = counted.flatten().to(logits.dtype)
    index = predicted.flatten()
    sums = logits.new_zeros(number, number).index_add(0, index, vectors * weight[:, None])
    counts = logits.new_zeros(number).index_add(0, index, weight)
    if over_ranks:
        sums, counts = sum_over_ranks(sums), sum_over_ranks(counts)
    return sums / counts.clamp(min=1)[:, None] * (counts >= min_pixels)[:, None]


def maximum_mean_discrepancy(first: Tensor, second: Tensor, kernels: int = 5, factor: float = 2.0) -> Tensor:
    """Squared distance of two sets of vectors (P, D) and (Q, D) under a sum of Gaussian kernels.

    Their widths grow by ``factor`` from one to the next around the mean squared distance of all pairs, which is a
    constant for the gradient. Equal sets give 0 with a finite gradient, also if all vectors are equal.

    Source: Long et al. 2015 (DAN, arXiv 1502.02791).
    """
    vectors = torch.cat([first, second])
    distances = (vectors[:, None] - vectors[None]).square().sum(dim=-1)
    number = len(vectors)
    width = distances.detach().sum() / (number * number - number) / factor ** (kernels // 2)
    width = width.clamp(min=torch.finfo(width.dtype).tiny)
    kernel: Any = sum(torch.exp(-distances / (width * factor**power)) for power in range(kernels))
    split = len(first)
    same = kernel[:split, :split].mean() + kernel[split:, split:].mean()
    return same - kernel[:split, split:].mean() - kernel[split:, :split].mean()


@MODELS.register_module()
class CentroidAlignment:
    """Draws the target's class means of fused logits to those of the source (flow-guided spatio-temporal alignment).

    The source's means have a gradient only if all passes have one backward: else the graph of the source pass is freed
    before the target pass.

    Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254).

    Args:
        weight: factor of the squared distance in the loss.
        intervals: over how many motions the target's means are averaged: 1 takes (t, t-1), 2 also (t, t-k-1).
        over_ranks: see `class_centroids`.
    """

    def __init__(self, weight: float = 0.01, intervals: int = 1, over_ranks: bool = True) -> None:
        if weight < 0 or intervals not in (1, 2):
            raise ValueError(
                'CentroidAlignment: weight is a factor of the loss, 0 or more, and intervals 1 or 2; got '
                f'{weight} and {intervals}'
            )
        self.weight, self.intervals, self.over_ranks = weight, intervals, over_ranks

    def source_centroids(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Class means (C, C) of logits (N, C, h, w) that agree with the labels (N, H, W)."""
        labels = F.interpolate(labels[:, None].float(), size=tuple(logits.shape[2:]), mode='nearest')[:, 0].long()
        return class_centroids(at_least_float32(logits), labels, over_ranks=self.over_ranks)

    def __call__(self, source: Tensor, target: Sequence[Tensor]) -> Tensor:
        """The weighted distance of target logits (N, C, h, w), one tensor per interval, to source means (C, C)."""
        means = [class_centroids(at_least_float32(logits), over_ranks=self.over_ranks) for logits in target]
        return self.weight * maximum_mean_discrepancy(source, torch.stack(means).mean(dim=0))
