"""Aligning predictions without pseudo-labels: target scores that are certain, or that look like those of the source.

Shapes: N batch, C classes, H, W pixels, h, w cells of the discriminator. Logits are at image size.
"""

import math
from itertools import pairwise

from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.func import functional_call

from udass.models.precision import at_least_float32
from udass.uda.networks import unwrap

# What the discriminator says of each domain.
_SOURCE, _TARGET = 0.0, 1.0
# Five convolutions of stride 2.
_DISCRIMINATOR_STRIDE = 32


def normalized_entropy(logits: Tensor) -> Tensor:
    """Mean over the pixels of the entropy of softmax scores (N, C, H, W), as a share of the largest possible one.

    Source: ADVENT (Vu et al. 2019, arXiv 1811.12833), equations 2 and 3.
    """
    log_scores = at_least_float32(logits).log_softmax(dim=1)
    entropy = -(log_scores.exp() * log_scores).sum(dim=1)
    return entropy.mean() / math.log(logits.shape[1])


def domain_loss(answers: Tensor, domain: float) -> Tensor:
    """Least squares: the mean squared distance of a discriminator's answers (N, 1, h, w) to a domain's number."""
    return (at_least_float32(answers) - domain).square().mean()


@MODELS.register_module()
class EntropyMinimization(nn.Module):
    """MinEnt: predictions on the target should be certain.

    Args:
        num_classes: C; the adapter fills it in.
        weight: factor of `normalized_entropy` in the loss (ADVENT: 0.001).

    Raises:
        ValueError: a negative weight, or a single class, whose scores are always certain.
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
    """AdvSeg: a discriminator tells the domains' softmax scores apart, the student makes its target scores deceive it.

    The discriminator is trained by an optimizer of its own (see `ChildOptimWrapperConstructor`), on scores of the same
    iteration without their graph. Its answers are fitted by least squares: 0 for the source, 1 for the target.

    Source: Tsai et al. 2018 (AdaptSegNet, arXiv 1802.10349), single level.

    Args:
        num_classes: C; the adapter fills it in.
        weight: factor of the student's adversarial loss.
        channels: channels of the discriminator's first convolution; the next three double them.
        train_with_student: the student's optimizer steps on the discriminator's gradients, too, before its own does, as
            in the published code of MIC.

    Raises:
        ValueError: a negative weight or no channels.
    """

    def __init__(
        self, num_classes: int, weight: float = 0.001, channels: int = 64, train_with_student: bool = False
    ) -> None:
        super().__init__()
        if weight < 0 or channels < 1:
            raise ValueError(
                'weight is a factor of the loss, 0 or more, and channels a number, 1 or more; got '
                f'{weight} and {channels}'
            )
        self.weight = weight
        self.train_with_student = train_with_student
        widths = [num_classes, channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1))

    def forward(self, logits: Tensor) -> Tensor:
        """The discriminator's answers (N, 1, H // 32, W // 32) to logits (N, C, H, W).

        Raises:
            ValueError: the image is too small for one answer.
        """
        if min(logits.shape[-2:]) < _DISCRIMINATOR_STRIDE:
            raise ValueError(
                f'AdversarialAlignment needs crops of at least {_DISCRIMINATOR_STRIDE} pixels on each '
                f'side; got {tuple(logits.shape[-2:])}'
            )
        return self.layers(logits.softmax(dim=1))

    def target_losses(self, logits: Tensor) -> dict[str, Tensor]:
        """The student's loss for target logits (N, C, H, W); the discriminator gets no gradient from it."""
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        answers = functional_call(self, frozen, (logits,))
        return {'loss_adversarial': self.weight * domain_loss(answers, _SOURCE)}


def train_discriminator(
    adaptation_loss: nn.Module,
    source: Tensor,
    target: Tensor,
    optim_wrapper: OptimWrapper,
    student_optim_wrapper: OptimWrapper,
) -> dict[str, Tensor]:
    """One step of the discriminator on logits of both domains (N, C, H, W) without graph.

    Args:
        adaptation_loss: an `AdversarialAlignment`, which DDP may be wrapped around.
        student_optim_wrapper: steps on the same gradients first, if the adaptation loss has ``train_with_student``.

    Returns:
        Its two losses, each already halved, for the log.
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
