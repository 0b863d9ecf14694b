"""Checks whether the heads of a network can be trained, with a weight per pixel where pseudo-labels need it."""

import torch
from mmengine.device import get_device
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.knet_head import IterativeDecodeHead
from torch import nn

from udass.models.heads.hrda_head import HRDAHead
from udass.models.losses.pixel_weight import PixelWeightMixin


def check_heads(network: nn.Module, needs_weights: bool) -> None:
    """Raises ValueError if a head of a network (after `weigh_heads`), or one of its losses, would learn nothing, cannot
    be computed, or would ignore weights where it learns from pseudo-labels, which have one per pixel."""
    heads = {name: module for name, module in network.named_modules() if isinstance(module, BaseDecodeHead)}
    for name in ('decode_head', 'auxiliary_head'):
        module = getattr(network, name, None)
        if module is not None and not isinstance(module, nn.ModuleList):
            heads.setdefault(name, module)
    for name, head in heads.items():
        # The losses of some heads are those of a head inside; an attention of scales has none.
        if isinstance(head, (HRDAHead, IterativeDecodeHead)) or name.endswith('scale_attention'):
            continue
        label = f'{name} ({type(head).__name__})'
        if isinstance(head, PixelWeightMixin):
            _check_losses(label, head, needs_weights)
        elif needs_weights:
            raise ValueError(
                f'{label} computes its loss by itself, without the weights of pseudo-labels: it can be trained on '
                'source labels only. Leave it out, or use a head whose loss is that of BaseDecodeHead, such as '
                'FCNHead, ASPPHead or SegformerHead'
            )
        elif isinstance(head, BaseDecodeHead) and type(head)._stack_batch_gt is not BaseDecodeHead._stack_batch_gt:
            raise ValueError(
                f'{label} learns from maps beside the class labels (edges or depth), which the training step does not '
                'have: use another head'
            )


def _check_losses(label: str, head: PixelWeightMixin, needs_weights: bool) -> None:
    """Compute the losses of a head for one small image, and find the pixels that they depend on."""
    kinds = ', '.join(type(module).__name__ for module in head.loss_modules)
    channels = head.out_channels
    if head.num_classes < 2:
        raise ValueError(
            f'{label} has num_classes={head.num_classes}: nothing can be learned with a single class. Count the '
            'background, too: num_classes=2, and either two channels or one with out_channels=1 and '
            "loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)"
        )
    for module in head.loss_modules:
        class_weight = getattr(module, 'class_weight', None)
        if class_weight is not None and len(class_weight) != channels:
            raise ValueError(
                f'{label}: class_weight of {type(module).__name__} has {len(class_weight)} numbers, but the head has '
                f'{channels} channel(s) for {head.num_classes} classes: give one per channel'
            )
    try:
        gradient, outside = _gradients(head, needs_weights)
    except Exception as error:  # losses of mmseg assert, index out of range, do not know an argument, ...
        weighted = ' with a weight per pixel, as pseudo-labels need it' if needs_weights else ''
        reason = (str(error) or 'an assertion of its code').splitlines()[0]
        raise ValueError(
            f'{label}: the loss ({kinds}) cannot be computed for {head.num_classes} classes in {channels} '
            f'channel(s){weighted} ({type(error).__name__}: {reason}). Correct loss_decode and sampler, or use '
            'CrossEntropyLoss'
        ) from error
    if not gradient:
        raise ValueError(
            f'{label}: nothing is learned from the loss ({kinds}) of {channels} channel(s). One channel needs '
            'use_sigmoid=True in loss_decode, and the name of a loss must begin with loss_'
        )
    if needs_weights and outside:
        raise ValueError(
            f'{label}: the loss ({kinds}) ignores the weights of pseudo-labels, so that pixels that are not trusted '
            'would count fully: use CrossEntropyLoss alone, or train on source labels only'
        )


def _gradients(head: PixelWeightMixin, weighted: bool) -> tuple[bool, bool]:
    """Whether the losses of a head depend on the logits at all, and, if weighted, on those of pixels of weight 0."""
    # Not as wide as there are channels: a number per class must not pass for one per column.
    shape = (1, 8, 8 if head.out_channels != 8 else 10)
    random, device = torch.Generator().manual_seed(0), get_device()
    logits = torch.randn(1, head.out_channels, *shape[1:], generator=random).to(device).requires_grad_()
    labels = (torch.arange(shape[1] * shape[2], device=device) % head.num_classes).view(shape)
    labels[:, 0] = head.ignore_index
    weights = torch.ones(shape, device=device)
    weights[..., 4:] = 0
    losses = head.pixel_loss(logits, labels, weights if weighted else None)
    total = sum((value.mean() for name, value in losses.items() if 'loss' in name), start=0 * logits.sum())
    gradient = torch.autograd.grad(total, logits)[0].abs().sum(dim=1)
    return bool(gradient.any()), bool((gradient * (1 - weights)).any())
