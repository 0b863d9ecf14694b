"""Long-tail paste: objects of rare classes from other source images over a mixed image.

Shapes: N batch, H, W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from udass.uda.clip import Clip, paste


@dataclass(frozen=True)
class LongTail:
    """Source images with a rare class each, for one iteration.

    Attributes:
        clips: ``clips[draw][mix]`` is a clip of as many images as the loader gave for that draw and mixed image.
        classes: ``classes[draw][mix]`` (N,) int64, the train id to cut out of each image.
    """

    clips: list[list[Clip]]
    classes: list[list[Tensor]]


def group_long_tail(clip: Clip, names: Sequence[int], mixes: int, batch_size: int) -> LongTail:
    """Sort a batch of the long-tail loader by draw and mixed image.

    Args:
        clip: draws * mixes * batch_size images, ordered by draw, then mixed image, then sample.
        names: train id to paste from each image, the same for all of a draw.
        mixes: mixed images per target image that get a paste; 0 of a method that pastes none.
        batch_size: samples of one mixed image.

    Raises:
        ValueError: the images do not fit these numbers, or the method pastes none.
    """
    if mixes == 0:
        raise ValueError('this method pastes no long-tail images: leave train_cfg.long_tail out')
    per_draw = mixes * batch_size
    if len(names) % per_draw or any(len(set(names[i : i + per_draw])) > 1 for i in range(0, len(names), per_draw)):
        raise ValueError(
            f'the mixing takes {per_draw} long-tail images of one class per draw ({mixes} mixes x '
            f'{batch_size}), got the classes {names}: set train_cfg.long_tail.mixes={mixes}'
        )
    classes = torch.tensor(names).to(clip.frames.device, non_blocking=True)
    starts = torch.arange(0, len(clip), batch_size).reshape(-1, mixes).tolist()
    return LongTail(
        clips=[[clip.map(lambda value, i=i: value[i : i + batch_size]) for i in row] for row in starts],
        classes=[[classes[i : i + batch_size] for i in row] for row in starts],
    )


def paste_long_tail(mixed: Clip, long_tail: LongTail, mix: int) -> tuple[Clip, Tensor]:
    """Paste every drawn object of the mixed image number ``mix`` over it, label and weight 1 with it.

    The objects are of still images: the flow of a mixed clip stays as it is (UDASS, ``transformmasks_dsp_cd``).

    Returns:
        The mixed clip, and which of its pixels are pasted, (N, T, H, W) bool.
    """
    pasted = torch.zeros_like(mixed.labels, dtype=torch.bool)
    for clips, classes in zip(long_tail.clips, long_tail.classes, strict=True):
        number = len(clips[mix])
        clip = clips[mix].fit(len(mixed), mixed.size)
        wanted = classes[mix].repeat(-(-len(mixed) // number))[: len(mixed)]
        mask = clip.labels == wanted[:, None, None, None]
        mixed, pasted = paste(mask, clip, mixed), pasted | mask
    return mixed, pasted
