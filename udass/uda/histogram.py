"""Matching the colours of one picture to those of another.

Shapes: N pictures, K channels, H, W pixels.
"""

import torch
from torch import Tensor


def match_histograms(images: Tensor, references: Tensor) -> Tensor:
    """Give each channel of an image the distribution of values that it has in the reference, which may differ in size.

    Each value goes to the reference's value of the same quantile, linearly between those that occur; it is not rounded.
    This is skimage's ``exposure.match_histograms`` per channel.

    Args:
        images: (N, K, H, W).
        references: (N, K, H', W').

    Returns:
        (N, K, H, W).
    """
    channels = [
        _match_channel(image, reference)
        for image, reference in zip(
            images.flatten(0, 1).flatten(1).contiguous(), references.flatten(0, 1).flatten(1), strict=True
        )
    ]
    return torch.stack(channels).reshape(images.shape)


def _match_channel(values: Tensor, reference: Tensor) -> Tensor:
    """(P,) values with the distribution of (Q,) reference values, without loops or waiting."""
    order, known = values.sort().values, reference.sort().values
    # Quantile of a value: share of values that are not larger. Equal reference values keep their last quantile only.
    quantiles = torch.searchsorted(order, values, right=True).to(values.dtype) / len(order)
    ends = torch.searchsorted(known, known, right=True).to(values.dtype)
    return _interpolate(quantiles, ends / len(known), known)


def _interpolate(positions: Tensor, grid: Tensor, heights: Tensor) -> Tensor:
    """numpy's ``interp``: heights over a sorted grid at the positions, constant beyond its ends."""
    above = torch.searchsorted(grid, positions).clamp(max=len(grid) - 1)
    # The last entry of the run before: runs of equal entries stand for one point of the grid.
    below = torch.searchsorted(grid, grid[above]).sub(1).clamp(min=0)
    width = grid[above] - grid[below]
    share = torch.where(width > 0, (positions - grid[below]) / width.clamp(min=torch.finfo(grid.dtype).tiny), 1.0)
    return torch.lerp(heights[below], heights[above], share.clamp(0, 1))
