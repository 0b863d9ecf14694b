"""Choose classes and make masks of them, without loops over classes and without waiting for the device.

Shapes: N batch, C classes, H, W pixels; a label map is (N, ..., H, W) int64 with 255 = ignore.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

NUM_LABEL_VALUES = 256


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes occur in each label map, (N, C) bool. 255 is not a class."""
    seen = torch.zeros(labels.shape[0], NUM_LABEL_VALUES, dtype=torch.bool, device=labels.device)
    seen.scatter_(1, labels.flatten(1), True)
    return seen[:, :num_classes]


def half_of(present: Tensor) -> Tensor:
    """Half the number of present classes, rounded up, (N,) int64 (ClassMix)."""
    return (present.sum(dim=1) + 1) // 2


def choose_classes(present: Tensor, number: Tensor, generator: torch.Generator) -> Tensor:
    """Draw classes without replacement, (N, C) bool.

    Args:
        present: (N, C) bool, the classes to draw from.
        number: (N,) int64, how many to draw per sample; all present ones if there are fewer.
        generator: CPU generator.
    """
    order = torch.rand(present.shape, generator=generator).to(present.device, non_blocking=True)
    ranks = order.masked_fill(~present, -1).argsort(dim=1, descending=True).argsort(dim=1)
    return present & (ranks < number[:, None])


def class_mask(labels: Tensor, chosen: Tensor) -> Tensor:
    """Pixels of the chosen classes (N, C) bool, shaped like ``labels`` (N, ..., H, W). Ignored pixels are never in."""
    table = F.pad(chosen, (0, NUM_LABEL_VALUES - chosen.shape[1]))
    return table.gather(1, labels.flatten(1)).reshape(labels.shape)
