"""Warping by optical flow: in pixels (dx, dy), from the current frame to another one.

What is at (x, y) in the current frame is at (x + dx, y + dy) in the other. Shapes: N samples, K channels, H, W pixels.
"""
import torch
import torch.nn.functional as F
from torch import Tensor


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Maps (N, K, H, W) of the other frame as seen from the current one, by its flow (N, 2, H, W); border clamped."""
    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height, device=flow.device), torch.arange(width, device=flow.device),
                          indexing='ij')
    last = flow.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    grid = (2 * (flow.float() + torch.stack([x, y])) / last - 1).permute(0, 2, 3, 1)
    return F.grid_sample(maps.float(), grid, padding_mode='border', align_corners=True).to(maps.dtype)


def resize_flow(flow: Tensor, size: tuple[int, int], ratio: tuple[float, float] | None = None) -> Tensor:
    """The flow (N, 2, H, W) at another size (height, width), its vectors scaled by ``ratio`` (x, y) or by its own."""
    height, width = flow.shape[-2:]
    ratio = (size[1] / width, size[0] / height) if ratio is None else ratio
    resized = F.interpolate(flow, size=tuple(size), mode='bilinear', align_corners=True)
    return resized * flow.new_tensor(ratio).view(1, 2, 1, 1)
