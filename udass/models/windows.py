"""Sliding windows over images: their boxes, and the average of their logits.

Shapes: N images, C classes, H, W pixels, h, w pixels of a window; logits may be coarser by a whole stride.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Box(NamedTuple):
    """Rows y1 to y2 and columns x1 to x2 of an image, ends excluded: the order in which crop boxes are stored."""

    y1: int
    y2: int
    x1: int
    x2: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.y2 - self.y1, self.x2 - self.x1

    def cut(self, maps: Tensor) -> Tensor:
        """The part of maps (..., H, W) inside the box."""
        return maps[..., self.y1 : self.y2, self.x1 : self.x2]

    def cells(self, stride: int) -> 'Box':
        """The box in cells of ``stride`` pixels, rounded down."""
        return Box(*(edge // stride for edge in self))


def window_boxes(size: Sequence[int], crop: Sequence[int], stride: Sequence[int]) -> list[Box]:
    """Boxes of size ``crop`` every ``stride`` pixels that cover an image of ``size`` (H, W), row by row. The last ones
    are moved back inside the image; an image smaller than the crop gets one box of its own size."""
    rows, columns = (_intervals(*lengths) for lengths in zip(size, crop, stride, strict=True))
    return [Box(*row, *column) for row in rows for column in columns]


def average_windows(
    images: Tensor,
    boxes: Sequence[Box],
    predict: Callable[[Tensor], Tensor],
    stride: int = 1,
    max_batch: int | None = None,
) -> Tensor:
    """The mean of the logits of all windows that cover a cell, (N, C, H / stride, W / stride).

    Args:
        images: (N, 3, H, W), H and W multiples of ``stride``.
        boxes: windows of one size that cover the images; edges are multiples of ``stride``.
        predict: logits (M, C, h / stride, w / stride) of windows (M, 3, h, w); ValueError for another stride.
        stride: pixels per cell of the logits.
        max_batch: at most so many windows go through ``predict`` at once; None takes all of them.
    """
    if max_batch is not None and max_batch < 1:
        raise ValueError(f'max_batch is a number of windows, at least 1 (None: no limit); got {max_batch}')
    count = images.new_zeros(1, 1, images.shape[2] // stride, images.shape[3] // stride)
    for box in boxes:
        box.cells(stride).cut(count).add_(1)
    windows = [(box, n) for box in boxes for n in range(len(images))]
    total = torch.empty(0)
    for start in range(0, len(windows), max_batch or len(windows)):
        batch = windows[start : start + (max_batch or len(windows))]
        logits = predict(torch.stack([box.cut(images[n]) for box, n in batch]))
        if start == 0:
            total = logits.new_zeros(len(images), logits.shape[1], *count.shape[2:])
        for (box, n), window in zip(batch, logits, strict=True):
            cells = box.cells(stride)
            if window.shape[1:] != cells.size:
                raise ValueError(
                    f'a window of {box.size} pixels gave logits of {tuple(window.shape[1:])} cells; at an output '
                    f'stride of {stride} they should be {cells.size}: set output_stride to what the network has'
                )
            cells.cut(total[n]).add_(window)
    return total / count


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Images (N, 3, H, W) with zeros (the mean colour, once normalised) at the right and bottom up to a multiple."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def uses_batch_statistics(module: nn.Module) -> bool:
    """Whether some batch norm inside would normalise with the statistics of the batch: then the result of a window
    depends on those beside it, and windows must not be split into batches."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training for layer in module.modules())


def _intervals(length: int, window: int, step: int) -> list[tuple[int, int]]:
    last = max(length - window, 0)
    starts = [min(i * step, last) for i in range(-(-last // step) + 1)]
    return [(start, min(start + window, length)) for start in starts]
