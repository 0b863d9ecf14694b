"""Losses on unlabelled images: entropy and a discriminator."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from udass.uda import AdversarialAlignment, EntropyMinimization
from udass.uda.adaptation_losses import domain_loss, normalized_entropy, train_discriminator


def logits_of(probabilities):
    """(1, C, 1, P) logits whose softmax gives the rows of ``probabilities`` (P pixels of C classes)."""
    return torch.tensor(probabilities).log().T[None, :, None]


@pytest.mark.parametrize(
    ('probabilities', 'entropy'),
    [
        ([[0.25, 0.25, 0.25, 0.25]], 1.0),
        ([[0.5, 0.5, 1e-30, 1e-30]], 0.5),
        ([[0.5, 0.25, 0.125, 0.125]], 0.875),
        ([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]], 0.9375),
    ],
)
def test_entropy_by_hand(probabilities, entropy):
    assert normalized_entropy(logits_of(probabilities)).item() == pytest.approx(entropy, rel=1e-6)


def test_entropy_of_a_certain_pixel_is_zero_with_a_finite_gradient():
    logits = torch.tensor([1000.0, 0.0, 0.0]).reshape(1, 3, 1, 1).requires_grad_()
    entropy = normalized_entropy(logits)
    entropy.backward()
    assert entropy.item() == 0 and torch.isfinite(logits.grad).all()


def test_entropy_equals_the_reference_formula():
    logits = torch.randn(2, 19, 6, 7, generator=torch.Generator().manual_seed(0)) * 4
    probabilities = logits.softmax(dim=1)
    reference = (-probabilities * torch.log2(probabilities + 1e-30)).sum(dim=1).mean() / math.log2(19)
    losses = EntropyMinimization(weight=0.001, num_classes=19).target_losses(logits)
    assert losses['loss_entropy'].item() == pytest.approx(0.001 * reference.item(), rel=1e-5)


def test_the_discriminator_is_the_published_one():
    adaptation_loss = AdversarialAlignment(num_classes=19)
    layers = [layer for layer in adaptation_loss.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 1]
    assert {(layer.kernel_size, layer.stride, layer.padding) for layer in layers} == {((4, 4), (2, 2), (1, 1))}
    slopes = [layer.negative_slope for layer in adaptation_loss.layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.2] * 4 and isinstance(adaptation_loss.layers[-1], nn.Conv2d)
    assert adaptation_loss(torch.randn(2, 19, 64, 96)).shape == (2, 1, 2, 3)
    with pytest.raises(ValueError, match=r'at least 32 pixels on each side; got \(16, 64\)'):
        adaptation_loss(torch.randn(1, 19, 16, 64))


def test_the_students_loss_leaves_the_discriminator_alone():
    adaptation_loss = AdversarialAlignment(num_classes=3, channels=4, weight=0.5)
    logits = torch.randn(2, 3, 32, 32, requires_grad=True)
    loss = adaptation_loss.target_losses(logits)['loss_adversarial']
    loss.backward()
    assert all(parameter.grad is None for parameter in adaptation_loss.parameters())
    assert logits.grad.abs().sum() > 0
    # The target is to be taken for the source, which is 0.
    assert loss.item() == pytest.approx(0.5 * adaptation_loss(logits).square().mean().item(), rel=1e-6)


def test_a_discriminator_learns_to_tell_the_domains_apart():
    torch.manual_seed(0)
    adaptation_loss = AdversarialAlignment(num_classes=3, channels=4)
    optimizer = OptimWrapper(torch.optim.Adam(adaptation_loss.parameters(), lr=1e-2))
    source, target = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    source[:, 0], target[:, 1] = 5, 5
    before = {name: value.clone() for name, value in adaptation_loss.named_parameters()}
    expected = {
        'discriminator.source': adaptation_loss(source).square().mean().item() / 2,
        'discriminator.target': (adaptation_loss(target) - 1).square().mean().item() / 2,
    }
    of_student = OptimWrapper(
        torch.optim.SGD(adaptation_loss.parameters(), lr=1.0)
    )  # not used without train_with_student
    first = train_discriminator(adaptation_loss, source, target, optimizer, of_student)
    assert {name: value.item() for name, value in first.items()} == pytest.approx(expected)
    for _ in range(60):
        last = train_discriminator(adaptation_loss, source, target, optimizer, of_student)
    assert sum(last.values()) < 0.05 * sum(first.values())
    assert adaptation_loss(source).mean() < 0.3 and adaptation_loss(target).mean() > 0.7
    assert all(not torch.equal(value, before[name]) for name, value in adaptation_loss.named_parameters())
    assert all(not value.requires_grad for value in last.values())


@pytest.mark.parametrize(
    ('component', 'options'),
    [
        (EntropyMinimization, dict(weight=-1)),
        (EntropyMinimization, dict(num_classes=1)),
        (AdversarialAlignment, dict(weight=-0.1)),
        (AdversarialAlignment, dict(channels=0)),
    ],
)
def test_impossible_numbers_are_refused(component, options):
    with pytest.raises(ValueError, match='weight is a factor of the loss, 0 or more'):
        component(**{'num_classes': 3, **options})


def test_least_squares_by_hand():
    answers = torch.tensor([[[[0.0, 1.0]]], [[[0.5, -1.0]]]])
    assert domain_loss(answers, 0.0).item() == pytest.approx((0 + 1 + 0.25 + 1) / 4)
    assert domain_loss(answers, 1.0).item() == pytest.approx((1 + 0 + 0.25 + 4) / 4)
