"""Long-tail paste: objects of rare classes from other source images over a mixed image.

Shapes: N batch, T frames, H, W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from udass.uda.clip import Clip, paste


@dataclass(frozen=True)
class LongTail:
    """Source images of one iteration, each with a rare class.

    Attributes:
        clips: ``clips[draw][mix]`` is a clip of N images.
        classes: ``classes[draw][mix]`` (N,) int64, the train id to cut out of each image.
    """

    clips: list[list[Clip]]
    classes: list[list[Tensor]]


def group_long_tail(clip: Clip, train_ids: Sequence[int], mixes: int, batch_size: int) -> LongTail:
    """Sort a batch of the long-tail loader by draw and mixed image.

    Args:
        clip: draws * mixes * batch_size images, ordered by draw, then mixed image, then sample.
        train_ids: the class to paste from each image, equal for all images of a draw.
        mixes: mixed images per target image that take a paste (`Mixing.number_of_mixes`).
        batch_size: samples of one mixed image.
    """
    if mixes == 0:
        raise ValueError('this method pastes no long-tail images: leave train_cfg.long_tail out')
    per_draw = mixes * batch_size
    draws = [set(train_ids[i : i + per_draw]) for i in range(0, len(train_ids), per_draw)]
    if len(train_ids) % per_draw or any(len(draw) > 1 for draw in draws):
        raise ValueError(
            f'the mixing takes {per_draw} long-tail images of one class per draw ({mixes} mixes x '
            f'{batch_size}), got the classes {train_ids}: set train_cfg.long_tail.mixes={mixes}'
        )
    classes = torch.tensor(train_ids).to(clip.frames.device, non_blocking=True)
    starts = torch.arange(0, len(clip), batch_size).reshape(-1, mixes).tolist()
    return LongTail(
        clips=[[clip[i : i + batch_size] for i in row] for row in starts],
        classes=[[classes[i : i + batch_size] for i in row] for row in starts],
    )


def paste_long_tail(mixed: Clip, long_tail: LongTail, mix: int) -> tuple[Clip, Tensor]:
    """Paste every drawn object of mixed image number ``mix`` over it, with its label and weight 1.

    The objects are of still images: the flow of a mixed clip stays as it is (UDASS, ``transformmasks_dsp_cd``).

    Returns:
        The mixed clip, and its pasted pixels (N, T, H, W) bool.
    """
    pasted = torch.zeros_like(mixed.labels, dtype=torch.bool)
    for clips, classes in zip(long_tail.clips, long_tail.classes, strict=True):
        clip = clips[mix].match_shape(len(mixed), mixed.size)
        train_ids = classes[mix].repeat(-(-len(mixed) // len(clips[mix])))[: len(mixed)]
        mask = clip.labels == train_ids[:, None, None, None]
        mixed, pasted = paste(mask, clip, mixed), pasted | mask
    return mixed, pasted
