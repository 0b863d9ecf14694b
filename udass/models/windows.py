"""Windows that slide over images: where they lie, and the average of what they say.

Shapes: N images, C classes, H, W pixels, h, w pixels of a window; scores may be coarser by a whole stride.
"""

from collections.abc import Callable, Iterator, Sequence
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


def window_boxes(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]) -> list[Box]:
    """Boxes of size ``crop`` every ``stride`` pixels that cover an image of ``size`` (H, W), row by row.

    The last ones are moved back inside the image; an image smaller than the crop gets one box of its own size.
    """
    starts = [_starts(length, window, step) for length, window, step in zip(size, crop, stride, strict=True)]
    return [Box(y, min(y + crop[0], size[0]), x, min(x + crop[1], size[1])) for y in starts[0] for x in starts[1]]


def average_windows(
    images: Tensor,
    boxes: Sequence[Box],
    predict: Callable[[Tensor], Tensor],
    stride: int = 1,
    max_batch: int | None = None,
) -> Tensor:
    """The mean of the scores of all windows that cover a cell.

    Args:
        images: (N, 3, H, W), H and W multiples of ``stride``.
        boxes: windows of one size that cover the images; edges are multiples of ``stride``.
        predict: scores (M, C, h / stride, w / stride) of windows (M, 3, h, w).
        stride: pixels per cell of the scores.
        max_batch: at most so many windows go through ``predict`` at once; None takes all of them.

    Returns:
        Tensor: (N, C, H / stride, W / stride).

    Raises:
        ValueError: max_batch is not positive, or the scores have another stride.
    """
    total, count = None, images.new_zeros(1, 1, images.shape[2] // stride, images.shape[3] // stride)
    for box in boxes:
        box.cells(stride).cut(count).add_(1)
    for places in _batches([(box, n) for box in boxes for n in range(len(images))], max_batch):
        scores = predict(torch.stack([box.cut(images[n]) for box, n in places]))
        if total is None:
            total = scores.new_zeros(len(images), scores.shape[1], *count.shape[2:])
        for (box, n), score in zip(places, scores, strict=True):
            cells = box.cells(stride)
            if score.shape[1:] != cells.size:
                raise ValueError(
                    f'a window of {box.size} pixels gave scores of {tuple(score.shape[1:])} cells; at an '
                    f'output stride of {stride} they should be {cells.size}: set output_stride to what '
                    'the network has'
                )
            cells.cut(total[n]).add_(score)
    return total / count


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Images (N, 3, H, W) with zeros (the mean colour, once normalised) at the right and bottom up to a multiple."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def uses_batch_statistics(module: nn.Module) -> bool:
    """Whether some batch norm inside would normalise with the statistics of the batch it sees.

    Then the result of a window depends on the windows beside it, and windows must not be split into batches.
    """
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training for layer in module.modules())


def _starts(length: int, window: int, step: int) -> list[int]:
    last = max(length - window, 0)
    return [min(i * step, last) for i in range(-(-last // step) + 1)]


def _batches(items: list, size: int | None) -> Iterator[list]:
    if size is not None and size < 1:
        raise ValueError(f'max_batch is a number of windows, at least 1 (None: no limit); got {size}')
    size = size or len(items)
    for start in range(0, len(items), size):
        yield items[start : start + size]
