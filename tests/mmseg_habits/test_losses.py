"""Every loss and sampler that MMSegmentation registers: it carries the weights of pixels, or is refused when built."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TASK_UTILS
from torch import nn

import udass.all_modules  # noqa: F401, the losses of the project are registered
from udass.models.heads.checking import check_heads
from udass.models.losses.pixel_weight import weigh_heads

CLASSES = 4
# Losses that carry weights, and those that can be trained on source labels alone.
WEIGHTED = {
    'cross-entropy': dict(type='CrossEntropyLoss'),
    'cross-entropy of labelled pixels': dict(type='CrossEntropyLoss', avg_non_ignore=True),
    'cross-entropy, summed': dict(type='CrossEntropyLoss', reduction='sum'),
    'cross-entropy with a weight per class': dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0, 4.0]),
    'sigmoid': dict(type='CrossEntropyLoss', use_sigmoid=True),
    'ours': dict(type='ValidCrossEntropy'),
}
UNWEIGHTED = {
    'dice': dict(type='DiceLoss'),
    'dice of softmax': dict(type='DiceLoss', use_sigmoid=False),
    'lovasz': dict(type='LovaszLoss', reduction='none'),
    'tversky': dict(type='TverskyLoss'),
    'hausdorff': dict(type='HuasdorffDisstanceLoss'),
    'cross-entropy and dice': [dict(type='CrossEntropyLoss'), dict(type='DiceLoss')],
}
# Losses that no head of classes can use, with a part of the message.
UNUSABLE = {
    'boundary': (dict(type='BoundaryLoss'), 'BoundaryLoss'),
    'ohem as a loss': (dict(type='OhemCrossEntropy'), 'OhemCrossEntropy'),
    'depth': (dict(type='SiLogLoss'), 'SiLogLoss'),
    # The installed mmseg computes it with compiled operations on a GPU, and wrongly without.
    'focal': (dict(type='FocalLoss'), 'FocalLoss'),
    'masks': (dict(type='CrossEntropyLoss', use_mask=True), 'does not support ignore_index'),
    'a weight per class too few': (
        dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0]),
        'class_weight of CrossEntropyLoss has 3 numbers, but the head has 4 channel',
    ),
    'a weight per class and labelled pixels': (
        dict(type='CrossEntropyLoss', class_weight=[1.0] * CLASSES, avg_non_ignore=True),
        'cannot be computed',
    ),
    'a weight per class and sigmoid': (
        dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[1.0] * CLASSES),
        'cannot be computed',
    ),
    'a name that is not trained on': (dict(type='CrossEntropyLoss', loss_name='ce'), 'nothing is learned'),
    'a weight per class of hausdorff': (
        dict(type='HuasdorffDisstanceLoss', class_weight=[1.0] * CLASSES),
        'cannot be computed',
    ),
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def network_with(loss, **changes):
    torch.manual_seed(0)
    network = nn.Module()
    network.decode_head = MODELS.build(
        {
            **dict(
                type='FCNHead',
                in_channels=4,
                channels=4,
                num_convs=1,
                kernel_size=1,
                concat_input=False,
                num_classes=CLASSES,
                dropout_ratio=0,
                loss_decode=loss,
            ),
            **changes,
        }
    )
    weigh_heads(network)
    return network


def total(losses):
    return sum(value.mean() for value in losses.values())


def test_the_lists_hold_every_registered_loss():
    registered = {
        name
        for name, component in MODELS.module_dict.items()
        if inspect.isclass(component)
        and '.losses' in component.__module__
        and component.__module__.startswith(('mmseg', 'udass'))
    }
    # It compares features with features, so it is no loss of a head (tests/reference/test_vfm.py).
    registered.remove('FeatureDistillation')
    tried = [*WEIGHTED.values(), *UNWEIGHTED.values(), *(loss for loss, _ in UNUSABLE.values())]
    assert registered == {one['type'] for loss in tried for one in (loss if isinstance(loss, list) else [loss])}


@pytest.mark.parametrize('name', WEIGHTED)
def test_a_pixel_of_weight_0_says_nothing_and_half_a_weight_half_as_much(name):
    network = network_with(WEIGHTED[name])
    check_heads(network, needs_weights=True)
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, CLASSES, 6, 5, generator=random).requires_grad_()
    labels = torch.randint(0, CLASSES, (2, 6, 5), generator=random)
    weights = torch.ones(2, 6, 5)
    weights[:, :, 0], weights[:, :, 1] = 0, 0.5
    head = network.decode_head
    (gradient,) = torch.autograd.grad(total(head.pixel_loss(logits, labels, weights)), logits)
    (plain,) = torch.autograd.grad(total(head.pixel_loss(logits, labels, None)), logits)
    torch.testing.assert_close(gradient, plain * weights[:, None])


@pytest.mark.parametrize('name', UNWEIGHTED)
def test_a_loss_of_regions_trains_on_source_labels_and_is_refused_with_pseudo_labels(name):
    network = network_with(UNWEIGHTED[name])
    check_heads(network, needs_weights=False)
    with pytest.raises(ValueError, match='ignores the weights of pseudo-labels|with a weight per pixel'):
        check_heads(network, needs_weights=True)


@pytest.mark.parametrize('name', UNUSABLE)
@pytest.mark.parametrize('needs_weights', [False, True])
def test_a_loss_that_cannot_be_used_is_refused(name, needs_weights):
    loss, message = UNUSABLE[name]
    with pytest.raises(ValueError, match=message):
        check_heads(network_with(loss), needs_weights)


# ---------------------------------------------------------------- one channel

ONE = dict(num_classes=2, out_channels=1, threshold=0.5)


def test_one_channel_learns_as_two_of_which_the_first_is_0():
    """The binary cross-entropy of a logit z is the cross-entropy of (0, z)."""
    network = network_with(dict(type='CrossEntropyLoss', use_sigmoid=True), **ONE)
    check_heads(network, needs_weights=True)
    logits = torch.tensor([[[[-2.0, -0.5, 1.0, 3.0]]]])
    labels, weights = torch.tensor([[[0, 1, 1, 255]]]), torch.tensor([[[1.0, 0.5, 0.0, 1.0]]])
    loss = network.decode_head.pixel_loss(logits, labels, weights)['loss_ce']
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = (F.cross_entropy(two, labels, reduction='none', ignore_index=255) * weights).mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    'loss, message',
    [
        (dict(type='CrossEntropyLoss'), 'One channel needs use_sigmoid=True|cannot be computed'),
        (dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[1.0, 2.0]), 'has 2 numbers, but the head has 1'),
    ],
)
def test_one_channel_with_a_loss_of_two_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        check_heads(network_with(loss, **ONE), needs_weights=True)


def test_one_channel_takes_a_weight_of_its_class():
    check_heads(network_with(dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[3.0]), **ONE), True)


@pytest.mark.parametrize('use_sigmoid', [False, True])
@pytest.mark.parametrize('needs_weights', [False, True])
def test_a_single_class_is_refused(use_sigmoid, needs_weights):
    network = network_with(dict(type='CrossEntropyLoss', use_sigmoid=use_sigmoid), num_classes=1, threshold=0.5)
    with pytest.raises(ValueError, match='num_classes=1: nothing can be learned with a single class'):
        check_heads(network, needs_weights)


# ---------------------------------------------------------------- samplers


def test_the_list_holds_every_registered_sampler():
    assert [name for name in TASK_UTILS.module_dict if 'Sampler' in name] == ['OHEMPixelSampler']


def test_ohem_keeps_hard_pixels_with_their_weights():
    """Confidence of the label in a row of pixels: 0.9, 0.8, 0.6, 0.55; the first is easy for a threshold of 0.7."""
    network = network_with(
        dict(type='CrossEntropyLoss'), num_classes=2, sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=2)
    )
    check_heads(network, needs_weights=True)
    shares = torch.tensor([0.9, 0.8, 0.6, 0.55])
    logits = torch.stack([shares.log(), (1 - shares).log()])[None, :, None]
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    # At least three are kept (mmseg: the threshold is not below the confidence of pixel number min_kept, counted from
    # 0, which itself is left out).
    loss = network.decode_head.pixel_loss(logits, labels, None)['loss_ce']
    torch.testing.assert_close(loss, -(shares[2].log() + shares[3].log()) / 4)
    weights = torch.tensor([[[1.0, 1.0, 0.5, 0.25]]])
    loss = network.decode_head.pixel_loss(logits, labels, weights)['loss_ce']
    torch.testing.assert_close(loss, -(0.5 * shares[2].log() + 0.25 * shares[3].log()) / 4)
    # A pixel of weight 0 is not counted among those to keep.
    weights = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    loss = network.decode_head.pixel_loss(logits, labels, weights)['loss_ce']
    torch.testing.assert_close(loss, -(shares[2].log() + shares[1].log()) / 4)


def test_ohem_by_loss_keeps_the_pixels_of_largest_loss():
    network = network_with(
        dict(type='CrossEntropyLoss'), num_classes=2, sampler=dict(type='OHEMPixelSampler', min_kept=2)
    )
    check_heads(network, needs_weights=True)
    shares = torch.tensor([0.9, 0.8, 0.6, 0.55])
    logits = torch.stack([shares.log(), (1 - shares).log()])[None, :, None]
    loss = network.decode_head.pixel_loss(logits, torch.zeros(1, 1, 4, dtype=torch.long), None)['loss_ce']
    torch.testing.assert_close(loss, -(shares[2].log() + shares[3].log()) / 4)


@pytest.mark.parametrize(
    'changes',
    [
        # The sampler takes a softmax, of one channel.
        dict(
            **ONE,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
            sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=2),
        ),
        # The sampler asks the loss for its values per pixel.
        dict(loss_decode=dict(type='ValidCrossEntropy'), sampler=dict(type='OHEMPixelSampler', min_kept=2)),
        dict(loss_decode=dict(type='DiceLoss'), sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=2)),
    ],
)
@pytest.mark.parametrize('needs_weights', [False, True])
def test_ohem_that_cannot_be_computed_is_refused(changes, needs_weights):
    with pytest.raises(ValueError, match='cannot be computed'):
        check_heads(network_with(None, **changes), needs_weights)
