"""Draw predictions over their images."""

from collections.abc import Sequence

import numpy as np

from udass.visualization.canvas import legend, overlay_labels, resize, stack

# Smaller images are enlarged by a whole number, so that the legend is legible.
_MIN_WIDTH = 640


def draw_overlay(
    image: np.ndarray, ids: np.ndarray, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Class colours of ids (H, W) over an RGB image (H, W, 3) uint8, above a legend; of the size of the input or, if
    that is narrow, of a multiple of it."""
    factor = max(1, -(-_MIN_WIDTH // image.shape[1]))
    height, width = (side * factor for side in image.shape[:2])
    overlay = overlay_labels(resize(image, height, width), resize(ids, height, width), palette)
    return stack([overlay, draw_legend(classes, palette, width)])


def draw_legend(classes: Sequence[str], palette: Sequence[Sequence[int]], width: int = _MIN_WIDTH) -> np.ndarray:
    """Names and colours of the classes as an RGB image (h, width, 3) uint8."""
    return legend(classes, palette, width, text_size=max(14, width // 80), ignored=False)
