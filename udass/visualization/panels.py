"""Panels of the training (what every pass was trained on) and of predictions beside the truth.

Shapes: N batch, T frames (index 0 is the one to segment), H, W pixels.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from torch import Tensor

from udass.visualization.canvas import (
    colour_labels,
    colour_scale,
    grid,
    legend,
    overlay_labels,
    save_image,
    scale_bar,
    scaled,
    stack,
)

__all__ = ['draw_comparison', 'draw_training_panel', 'save_image']

_TILE_WIDTH = 240
_TITLES = {
    'source': 'source',
    'target': 'target',
    'mix': 'mixed',
    'tss': 'TSS: target into source',
    'tst': 'TST: source into target',
    'masked': 'masked',
    'cross_frame': 'across time',
}


def draw_training_panel(
    panels: Mapping[str, Mapping], classes: Sequence[str], palette: Sequence[Sequence[int]], max_images: int = 4
) -> np.ndarray:
    """One row per image of the batch: source and label, target, pseudo-label and confidence, mixed images and labels.

    Args:
        panels (Mapping[str, Mapping]): name -> ``frames`` (N, T, 3, H, W) RGB in [0, 255], ``labels`` (N, T, H, W),
            and ``confidence`` (N, T, H, W) in [0, 1] or None. ``source`` and ``target`` come first, then the rest in
            their order.
        classes (Sequence[str]): names of the classes.
        palette (Sequence[Sequence[int]]): their RGB colours.
        max_images (int): rows at most.

    Returns:
        np.ndarray: RGB picture, uint8.

    Raises:
        ValueError: there is nothing to draw.
    """
    names = [name for name in ('source', 'target') if name in panels]
    names += [name for name in panels if name not in names]
    if not names:
        raise ValueError('there are no panels to draw: the training step must call its pass hooks')
    first = panels[names[0]]['frames']
    height = max(1, round(first.shape[-2] * _TILE_WIDTH / first.shape[-1]))
    columns = [column for name in names for column in panel_columns(name, panels[name], palette)]
    count = min(max_images, max(len(tiles) for _, tiles in columns))
    rows = [
        [scaled(tiles[row], height, _TILE_WIDTH) if row < len(tiles) else None for _, tiles in columns]
        for row in range(count)
    ]
    picture = grid(rows, [title for title, _ in columns])
    parts = [picture, legend(classes, palette, picture.shape[1])]
    if any(panel.get('confidence') is not None for panel in panels.values()):
        parts.insert(1, scale_bar(picture.shape[1], 'confidence (largest softmax score)'))
    return stack(parts)


def panel_columns(name: str, panel: Mapping, palette: Sequence[Sequence[int]]) -> list[tuple[str, list[np.ndarray]]]:
    """Column titles with their tiles (one per image) for one clip of a training step; see `draw_training_panel`."""
    title = _TITLES.get(name, name)
    frames = _numpy(panel['frames'][:, 0].permute(0, 2, 3, 1)).round().clip(0, 255).astype(np.uint8)
    labels = _numpy(panel['labels'][:, 0])
    columns = [(title, list(frames))]
    if name == 'source':
        # A frame may be shown to the network at another size than that of its labels.
        size = frames.shape[2:0:-1]
        shown = [cv2.resize(label.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for label in labels]
        columns.append(
            (
                f'{title}: label',
                [overlay_labels(frame, label, palette) for frame, label in zip(frames, shown, strict=True)],
            )
        )
        return columns
    if name == 'target' and panel.get('confidence') is None:
        # A method without pseudo-labels.
        return columns
    kind = 'pseudo-label' if name == 'target' else 'label'
    columns.append((f'{title.split(":")[0]}: {kind}', [colour_labels(label, palette) for label in labels]))
    if name == 'target':
        columns.append((f'{title}: confidence', [colour_scale(values) for values in _numpy(panel['confidence'][:, 0])]))
    return columns


def draw_comparison(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[np.ndarray]],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    tile_width: int = 320,
) -> np.ndarray:
    """Images beside label maps (predictions, truth) in label colours, with a legend.

    Args:
        images (Sequence[np.ndarray]): RGB images (H, W, 3), one per row.
        columns (Mapping[str, Sequence[np.ndarray]]): column title -> one label map (H, W) per row.
        classes (Sequence[str]): names of the classes.
        palette (Sequence[Sequence[int]]): their RGB colours.
        tile_width (int): width of each tile in pixels.

    Returns:
        np.ndarray: RGB picture, uint8.
    """
    height = max(1, round(images[0].shape[0] * tile_width / images[0].shape[1]))
    rows = [[scaled(image, height, tile_width)] for image in images]
    for labels in columns.values():
        for row, label in zip(rows, labels, strict=True):
            row.append(scaled(colour_labels(label, palette), height, tile_width))
    picture = grid(rows, ['image', *columns])
    return stack([picture, legend(classes, palette, picture.shape[1])])


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
