"""Block masking of images (MIC, Hoyer et al. 2023).

Shapes: N batch, T frames, H, W pixels.
"""

import math

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.uda.clip import Clip


@MODELS.register_module()
class BlockMasking:
    """Masks random square blocks; the student must infer them from their surroundings.

    Args:
        block_size: side of a block in pixels (64 for 1024 crops, 32 for 512).
        ratio: share of masked blocks, in [0, 1].
        mode: which images are masked. ``target``: those of the target, after the photometric change (for synthetic
            sources); ``mixed``: half of the batch from the source with its true labels, the other half (rounded up)
            from the target, without photometric change (Cityscapes to ACDC and Dark Zurich).
    """

    def __init__(self, block_size: int = 64, ratio: float = 0.7, mode: str = 'target') -> None:
        if block_size < 1:
            raise ValueError(f'block_size is a number of pixels, at least 1; got {block_size}')
        if not 0 <= ratio <= 1:
            raise ValueError(f'ratio is the share of masked blocks, in [0, 1]; got {ratio}')
        if mode not in ('target', 'mixed'):
            raise ValueError(f"the mode of BlockMasking is 'target' or 'mixed'; got {mode!r}")
        self.block_size = block_size
        self.ratio = ratio
        self.mode = mode

    def select(self, source: Clip, target: Clip) -> Clip:
        """The images to mask, as many as the target has, with their labels and weights."""
        if self.mode == 'target':
            return target
        half = len(target) // 2
        return source.match_shape(len(target), target.size)[:half].join(target[: len(target) - half])

    def draw(self, batch: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """Blocks of images of ``size`` (H, W), (N, 1, ceil(H / block_size), ceil(W / block_size)) float: 1 keeps, 0
        masks a block."""
        shape = (batch, 1, math.ceil(size[0] / self.block_size), math.ceil(size[1] / self.block_size))
        return (torch.rand(shape, generator=generator, device=generator.device) > self.ratio).float()

    def apply(self, frames: Tensor, blocks: Tensor, fill: Tensor) -> Tensor:
        """Fill the masked pixels of frames (N, T, 3, H, W), all frames of a clip alike.

        Args:
            blocks: see `draw`; enlarged to pixels by nearest neighbours, as in the reference.
            fill: (3, 1, 1) colour; the mean that normalisation subtracts becomes the reference's 0.
        """
        blocks = blocks.to(frames.device, non_blocking=True)
        keep = F.interpolate(blocks, size=tuple(frames.shape[-2:]), mode='nearest') > 0
        return torch.where(keep[:, :, None], frames, fill)
