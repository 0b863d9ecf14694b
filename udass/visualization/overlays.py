"""Draw predictions over their images."""

from collections.abc import Sequence

import numpy as np

from udass.visualization.canvas import legend, overlay_labels, scaled, stack

# A legend needs room: smaller pictures are enlarged by a whole number.
_MIN_WIDTH = 640
# Of the width; from the first size on a legend is readable.
_MIN_TEXT, _TEXT_SHARE = 14, 80


def draw_overlay(
    image: np.ndarray, ids: np.ndarray, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Class colours over an image, above a legend.

    Args:
        image: RGB (H, W, 3) uint8.
        ids: class ids (H, W).
        classes: names by id.
        palette: RGB colours by id.

    Returns:
        RGB picture, uint8, at the size of the image or, if that is narrow, a whole multiple of it; and the legend.
    """
    factor = max(1, -(-_MIN_WIDTH // image.shape[1]))
    height, width = (side * factor for side in image.shape[:2])
    overlay = overlay_labels(scaled(image, height, width), scaled(ids, height, width), palette)
    return stack([overlay, legend(classes, palette, width, _text_size(width), ignored=False)])


def draw_legend(classes: Sequence[str], palette: Sequence[Sequence[int]], width: int = _MIN_WIDTH) -> np.ndarray:
    """Names and colours of the classes as an RGB picture (h, width, 3) uint8, for videos, which have no room for it."""
    return legend(classes, palette, width, _text_size(width), ignored=False)


def _text_size(width: int) -> int:
    return max(_MIN_TEXT, width // _TEXT_SHARE)
