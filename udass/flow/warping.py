"""Warp images, logits and labels along optical flow, and flip and resize flow fields. Pure torch.

Convention: a flow holds (dx, dy) in pixels of its own size, from the current frame to another one. The point (x, y) of
the current frame is at (x + dx, y + dy) in the other one. Whole numbers are pixel centres. Warping the other frame
(its image, logits or labels) by the flow aligns it with the current frame.

Shapes: N samples, K channels, H x W pixels. A flow is (N, 2, H, W) float, channel 0 = dx.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Bilinearly sampled maps of the other frame, aligned with the current one; beyond the border the border counts.

    Args:
        maps: (N, K, H, W) float, e.g. images or logits of the other frame, as is the result. Gradients flow back to it.
        flow: (N, 2, H, W), current -> other, in pixels of the maps.

    Raises:
        ValueError, TypeError: the shapes do not fit, or the maps are not floating point.
    """
    _check(flow, maps.shape, 'maps (N, K, H, W)', 4)
    if not maps.is_floating_point():
        raise TypeError(
            f'warp interpolates between values and needs floating point maps, got {maps.dtype}; use warp_labels for '
            'labels, or convert images with .float()'
        )
    # Half precision cannot tell the pixels of a large frame apart.
    precise = torch.promote_types(maps.dtype, torch.float32)
    grid = _sampling_grid(flow.to(precise))
    warped = F.grid_sample(maps.to(precise), grid, mode='bilinear', padding_mode='border', align_corners=True)
    return warped.to(maps.dtype)


def warp_labels(labels: Tensor, flow: Tensor, ignore: int = 255) -> Tensor:
    """Labels (N, H, W) of the other frame, each taken from the pixel nearest to where the flow points.

    Args:
        labels: (N, H, W) integers of at most 24 bits, whose type the result has; ValueError if the flow does not fit.
        flow: (N, 2, H, W), current -> other.
        ignore: label where the flow points out of the frame.
    """
    _check(flow, labels.shape, 'labels (N, H, W)', 3)
    # Shifted, so that the zeros outside mean `ignore`. float32 holds such integers exactly.
    grid = _sampling_grid(flow.to(torch.promote_types(flow.dtype, torch.float32)))
    shifted = (labels.long() - ignore).to(grid.dtype).unsqueeze(1)
    sampled = F.grid_sample(shifted, grid, mode='nearest', padding_mode='zeros', align_corners=True)
    return (sampled.squeeze(1).round().long() + ignore).to(labels.dtype)


def resize_flow(flow: Tensor, size: Sequence[int], ratio: tuple[float, float] | None = None) -> Tensor:
    """The flow (N, 2, H, W) of the same frames at another size (align_corners=True), its vectors scaled.

    Args:
        size: new (height, width).
        ratio: factors (of dx, of dy); None = new by old width, new by old height. (The reference implementation of
            UDASS scales both by the ratio of the heights.)
    """
    _check(flow)
    height, width = flow.shape[-2:]
    ratio = (size[1] / width, size[0] / height) if ratio is None else ratio
    resized = F.interpolate(flow, size=tuple(size), mode='bilinear', align_corners=True)
    return resized * flow.new_tensor(ratio).view(1, 2, 1, 1)


def flip_flow(flow: Tensor) -> Tensor:
    """The flow (..., 2, H, W) of the frames flipped left to right: flipped itself, and dx negated."""
    _check(flow.reshape(-1, *flow.shape[-3:]))
    return flow.flip(-1) * flow.new_tensor([-1.0, 1.0]).view(2, 1, 1)


def inside(flow: Tensor) -> Tensor:
    """Where a flow (N, 2, H, W) points into the other frame, between its outermost pixel centres: (N, 1, H, W) bool."""
    _check(flow)
    height, width = flow.shape[-2:]
    x, y = _positions(flow).unbind(1)
    # Rounding must not push out what stays on the border.
    rim = 1e-3
    return ((x >= -rim) & (x <= width - 1 + rim) & (y >= -rim) & (y <= height - 1 + rim)).unsqueeze(1)


def consistent(forward: Tensor, backward: Tensor, relative: float = 0.01, absolute: float = 0.5) -> Tensor:
    """Forward-backward consistency, (N, 1, H, W) bool: False for pixels that the other frame does not show.

    With f the forward flow and b the backward flow at the point that f leads to, a pixel is consistent if
    ``|f + b|^2 < relative * (|f|^2 + |b|^2) + absolute``.
    Source: Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow",
    ECCV 2010, with its values.

    Args:
        forward, backward: (N, 2, H, W), current -> other and back.
        relative: tolerance as a share of the squared motion.
        absolute: tolerance in squared pixels.
    """
    _check(backward, forward.shape, 'forward flow (N, 2, H, W)', 4)
    returning = warp(backward, forward)
    gap = (forward + returning).square().sum(1, keepdim=True)
    motion = (forward.square() + returning.square()).sum(1, keepdim=True)
    return (gap < relative * motion + absolute) & inside(forward)


def _positions(flow: Tensor) -> Tensor:
    """(N, 2, H, W): the position (x, y) in pixels that each pixel's flow leads to."""
    height, width = (torch.arange(side, dtype=flow.dtype, device=flow.device) for side in flow.shape[-2:])
    y, x = torch.meshgrid(height, width, indexing='ij')
    return flow + torch.stack([x, y])


def _sampling_grid(flow: Tensor) -> Tensor:
    """(N, H, W, 2): where the flow leads to, as grid_sample takes it: -1 and 1 are the outermost pixel centres."""
    height, width = flow.shape[-2:]
    # With one pixel there is no extent, and any grid value is right.
    last = flow.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    return (2 * _positions(flow) / last - 1).permute(0, 2, 3, 1)


def _check(flow: Tensor, other: torch.Size | None = None, name: str = '', dims: int = 4) -> None:
    """Check the shape of a flow, and of the tensor of ``dims`` dimensions that it is applied to."""
    if flow.dim() != 4 or flow.shape[1] != 2 or not flow.is_floating_point():
        raise ValueError(f'a flow is a floating point tensor (N, 2, H, W), got {tuple(flow.shape)} {flow.dtype}')
    if other is not None and (len(other) != dims or other[0] != flow.shape[0] or other[-2:] != flow.shape[-2:]):
        raise ValueError(
            f'{name} of shape {tuple(other)} do not fit the flow {tuple(flow.shape)}; resize the flow with resize_flow '
            'or select its samples'
        )
