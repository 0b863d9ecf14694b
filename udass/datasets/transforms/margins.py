"""Mark the margins of target images in which pseudo-labels are not trusted."""

from collections.abc import Mapping, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

_SIDES = ('top', 'bottom', 'left', 'right')
# Rounding after a resize changes the aspect ratio less, a square crop of a wide image more.
_MAX_DISTORTION = 0.05


@TRANSFORMS.register_module()
class PseudoMargins(BaseTransform):
    """Mark the pixels whose pseudo-labels may be trusted, from the ``pseudo_margins`` of the data set.

    Adds ``valid_pseudo_mask`` (H, W) uint8, 1 = trusted, with the margins scaled to the current size of the image;
    later transforms resize, crop and flip it with the image. To be put before the crop: a crop from the middle of the
    image keeps all pixels (HRDA, arXiv 2204.13132). Without ``pseudo_margins`` nothing is added.

    Args:
        sides: margins to apply, some of 'top', 'bottom', 'left' and 'right'.
        shares: margins of every image instead of those of the data set, as shares of its height and width, for example
            dict(top=0.03, bottom=0.25, left=0.03, right=0.03) (VFM-UDA).

    Raises:
        ValueError: an unknown side, margins that are incomplete or leave no pixel, or an image that is no scaled copy
            of the size that the margins are meant for.
    """

    def __init__(self, sides: Sequence[str] = _SIDES, shares: Mapping[str, float] | None = None) -> None:
        super().__init__()
        unknown = sorted(set(sides) - set(_SIDES))
        if unknown or isinstance(sides, str):
            raise ValueError(f'PseudoMargins: sides must be a list of some of {list(_SIDES)}, got {sides!r}')
        self.sides = tuple(sides)
        # In pixels of an image of 1x1.
        self.margins = None if shares is None else dict(size=(1, 1), **shares)

    def transform(self, results: dict) -> dict:
        margins = self.margins or results.get('pseudo_margins')
        if margins is None:
            return results
        if set(margins) != {'size', *_SIDES}:
            raise ValueError(
                'pseudo_margins of a data set must be dict(size=(width, height), top=..., bottom=..., left=..., '
                f'right=...) in pixels, shares of PseudoMargins the same without size, got {dict(margins)}'
            )
        height, width = results['img'].shape[:2]
        vertical, horizontal = height / margins['size'][1], width / margins['size'][0]
        if self.margins is None and abs(vertical / horizontal - 1) > _MAX_DISTORTION:
            raise ValueError(
                f'{results.get("img_path", "an image")} is {width}x{height} pixels when it reaches '
                f'PseudoMargins, which is no scaled copy of {margins["size"][0]}x{margins["size"][1]}, '
                'the size of pseudo_margins: put PseudoMargins before the crop in the pipeline'
            )
        rows = {side: round(margins[side] * vertical) * (side in self.sides) for side in _SIDES[:2]}
        columns = {side: round(margins[side] * horizontal) * (side in self.sides) for side in _SIDES[2:]}
        mask = np.zeros((height, width), np.uint8)
        mask[rows['top'] : height - rows['bottom'], columns['left'] : width - columns['right']] = 1
        if not mask.any():
            raise ValueError(f'pseudo_margins {dict(margins)} leave no pixel of {width}x{height}: reduce them')
        results['valid_pseudo_mask'] = mask
        results.setdefault('seg_fields', []).append('valid_pseudo_mask')
        return results
