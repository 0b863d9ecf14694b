"""Long-tail paste: objects of rare classes from other source images over a mixed image.

Shapes: N batch, H, W pixels.
"""
from dataclasses import dataclass

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


def paste_long_tail(mixed: Clip, long_tail: LongTail, mix: int) -> Clip:
    """Paste every drawn object of the mixed image number ``mix`` over it, label and weight 1 with it."""
    for clips, classes in zip(long_tail.clips, long_tail.classes, strict=True):
        number = len(clips[mix])
        clip = clips[mix].fit(len(mixed), mixed.size)
        wanted = classes[mix].repeat(-(-len(mixed) // number))[:len(mixed)]
        mixed = paste(clip.labels == wanted[:, None, None, None], clip, mixed)
    return mixed
