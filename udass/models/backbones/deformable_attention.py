"""Multi-scale deformable attention in plain PyTorch.

Shapes: N images, Q queries, V values (the pixels of all levels one after the other), E channels, L levels.
Source: Zhu et al. 2021, "Deformable DETR" (arXiv 2010.04159), equation 3.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from udass.models.precision import at_least_float32

Size = tuple[int, int]


class DeformableAttention(nn.Module):
    """Each query takes a weighted sum of values at a few learned places around its reference point on each level.

    Places between pixels are interpolated bilinearly, by ``grid_sample``; values outside a level are zero.

    Args:
        channels: E of queries, values and result.
        levels: L.
        heads: attention heads.
        points: sampled places per head and level.
        value_ratio: width of the projected values as a share of E.
    """

    def __init__(self, channels: int, levels: int, heads: int, points: int = 4, value_ratio: float = 0.5) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        width = int(channels * value_ratio)
        self.sampling_offsets = nn.Linear(channels, heads * levels * points * 2)
        self.attention_weights = nn.Linear(channels, heads * levels * points)
        self.value_proj = nn.Linear(channels, width)
        self.output_proj = nn.Linear(width, channels)
        self.init_weights()

    def init_weights(self) -> None:
        """Start with uniform attention to points on a ray per head, one to ``points`` pixels from the reference."""
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        with torch.no_grad():
            offsets = rays[:, None, None] * steps[:, None]
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, reference: Tensor, value: Tensor, sizes: Sequence[Size]) -> Tensor:
        """Attend to the values: (N, Q, E).

        Args:
            query: (N, Q, E).
            reference: (Q, 2), the point (x, y) of each query in [0, 1], where 0 and 1 are the edges of the image.
            value: (N, V, E).
            sizes: height and width of each level; V is the sum of their areas.
        """
        batch, queries = query.shape[:2]
        offsets = at_least_float32(self.sampling_offsets(query))
        offsets = offsets.view(batch, queries, self.heads, self.levels, self.points, 2)
        weights = at_least_float32(self.attention_weights(query))
        weights = weights.view(batch, queries, self.heads, -1).softmax(dim=-1).view(*offsets.shape[:-1])
        values = at_least_float32(self.value_proj(value)).split([height * width for height, width in sizes], dim=1)
        levels = []
        for level, (height, width) in enumerate(sizes):
            pixels = values[level].transpose(1, 2).reshape(batch * self.heads, -1, height, width)
            places = reference[:, None, None] + offsets[:, :, :, level] / offsets.new_tensor([width, height])
            grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)
            sampled = F.grid_sample(pixels, grid, padding_mode='zeros', align_corners=False)
            levels.append((sampled * weights[:, :, :, level].transpose(1, 2).flatten(0, 1)[:, None]).sum(dim=-1))
        result = torch.stack(levels).sum(dim=0)
        return self.output_proj(result.view(batch, -1, queries).transpose(1, 2).to(query.dtype))


def cell_centres(sizes: Sequence[Size], like: Tensor) -> Tensor:
    """Centres (x, y) in [0, 1] of the pixels of all levels, (sum of the areas, 2), as reference points."""
    points = []
    for height, width in sizes:
        ys = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) / height
        xs = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) / width
        points.append(torch.stack(torch.meshgrid(ys, xs, indexing='ij')[::-1], dim=-1).flatten(0, 1))
    return torch.cat(points).to(at_least_float32(like).dtype)
