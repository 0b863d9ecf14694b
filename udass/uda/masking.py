"""Masking of images: blocks of pixels (MIC, Hoyer et al. 2023) or tokens of a ViT (VFM-UDA, Englert et al. 2024).

Shapes: N batch, T frames, H, W pixels, h, w tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.uda.clip import Clip


class Masking:
    """Which images are masked, and how much of them.

    Args:
        ratio: share of what is masked, in [0, 1].
        mode: which images are masked. ``target``: those of the target, after the photometric change (for synthetic
            sources); ``mixed``: half of the batch from the source with its true labels, the other half (rounded up)
            from the target, without photometric change (Cityscapes to ACDC and Dark Zurich).
    """

    def __init__(self, ratio: float, mode: str) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f'ratio is the share of an image that is masked, in [0, 1]; got {ratio}')
        if mode not in ('target', 'mixed'):
            raise ValueError(f"the mode of {type(self).__name__} is 'target' or 'mixed'; got {mode!r}")
        self.ratio, self.mode = ratio, mode

    def select(self, source: Clip, target: Clip) -> Clip:
        """The images to mask, as many as the target has, with their labels and weights."""
        if self.mode == 'target':
            return target
        half = len(target) // 2
        return source.match_shape(len(target), target.size)[:half].join(target[: len(target) - half])


@MODELS.register_module()
class BlockMasking(Masking):
    """Masks random square blocks; the student must infer them from their surroundings.

    Args:
        block_size: side of a block in pixels (64 for 1024 crops, 32 for 512).
        ratio, mode: see `Masking`.
        multiple: enlarge images to the next multiple of so many pixels before blocks are masked. With the multiple of
            the student's backbone, blocks are those of the image that its transformer sees.
    """

    def __init__(self, block_size: int = 64, ratio: float = 0.7, mode: str = 'target', multiple: int = 1) -> None:
        super().__init__(ratio, mode)
        if min(block_size, multiple) < 1:
            raise ValueError(f'block_size and multiple, in pixels, are at least 1; got {block_size} and {multiple}')
        self.block_size, self.multiple = block_size, multiple

    def mask(self, clip: Clip, fill: Tensor, generator: Generator) -> Clip:
        """The clip with masked blocks; ``fill`` as of `apply`."""
        rows, columns = (math.ceil(side / self.multiple) * self.multiple for side in clip.size)
        clip = clip.resize_frames((rows, columns), align_corners=False)
        blocks = self.draw(len(clip), clip.size, generator)
        return replace(clip, frames=self.apply(clip.frames, blocks, fill))

    def draw(self, batch: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """Blocks of images of ``size`` (H, W), (N, 1, ceil(H / block_size), ceil(W / block_size)) float: 1 keeps, 0
        masks a block."""
        shape = (batch, 1, math.ceil(size[0] / self.block_size), math.ceil(size[1] / self.block_size))
        return (torch.rand(shape, generator=generator, device=generator.device) > self.ratio).float()

    def apply(self, frames: Tensor, blocks: Tensor, fill: Tensor) -> Tensor:
        """Fill the masked pixels of frames (N, T, 3, H, W), all frames of a clip alike, with a colour (3, 1, 1);
        blocks, see `draw`, are enlarged to pixels by nearest neighbours, as in the reference."""
        blocks = blocks.to(frames.device, non_blocking=True)
        keep = F.interpolate(blocks, size=tuple(frames.shape[-2:]), mode='nearest') > 0
        return torch.where(keep[:, :, None], frames, fill)


@MODELS.register_module()
class TokenMasking(Masking):
    """Replaces random tokens of the student's ViT by its mask token, all frames of a clip alike (VFM-UDA).

    Args:
        ratio: probability with which each token is masked.
        mode: see `Masking`.
    """

    def __init__(self, ratio: float = 0.7, mode: str = 'target') -> None:
        super().__init__(ratio, mode)

    def draw(self, batch: int, grid: Sequence[int], generator: Generator) -> Tensor:
        """The masked tokens of a grid (h, w), (N, h, w) bool."""
        return torch.rand((batch, *grid), generator=generator, device=generator.device) <= self.ratio
