"""Block masking of target images (MIC, Hoyer et al. 2023).

Shapes: N batch, H, W pixels.
"""
import math

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor


def draw_blocks(batch: int, size: tuple[int, int], block_size: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Which blocks to keep, (N, 1, ceil(H/block), ceil(W/block)) float: 1 keeps, 0 masks with probability ``ratio``."""
    shape = (batch, 1, math.ceil(size[0] / block_size), math.ceil(size[1] / block_size))
    return (torch.rand(shape, generator=generator, device=generator.device) > ratio).float()


def enlarge_blocks(blocks: Tensor, size: tuple[int, int]) -> Tensor:
    """The block mask at pixel size (N, 1, H, W), nearest neighbour as in the reference."""
    return F.interpolate(blocks, size=size, mode='nearest')


@MODELS.register_module()
class BlockMasking:
    """Masks random square blocks; the student must infer them from their surroundings.

    Args:
        block_size: side of a block in pixels (64 for 1024 crops, 32 for 512).
        ratio: share of masked blocks, in [0, 1].
    """

    def __init__(self, block_size: int = 64, ratio: float = 0.7) -> None:
        if block_size < 1:
            raise ValueError(f'block_size is a number of pixels, at least 1; got {block_size}')
        if not 0 <= ratio <= 1:
            raise ValueError(f'ratio is the share of masked blocks, in [0, 1]; got {ratio}')
        self.block_size = block_size
        self.ratio = ratio

    def draw(self, batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Random blocks for images of ``size`` (H, W); see `draw_blocks`."""
        return draw_blocks(batch, size, self.block_size, self.ratio, generator)

    def apply(self, frames: Tensor, blocks: Tensor, fill: Tensor) -> Tensor:
        """Fill the masked pixels of frames (N, T, 3, H, W), all frames of a clip alike.

        Args:
            blocks: see `draw_blocks`.
            fill: (3, 1, 1) colour; the mean that normalisation subtracts becomes the reference's 0.
        """
        keep = enlarge_blocks(blocks.to(frames.device, non_blocking=True), tuple(frames.shape[-2:])) > 0
        return torch.where(keep[:, :, None], frames, fill)
