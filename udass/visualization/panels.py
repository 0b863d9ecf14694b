"""Draw training panels (what each pass is trained on) and predictions beside the ground truth.

Shapes: N batch, T frames (index 0 is the one to segment), H, W pixels.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from torch import Tensor

from udass.visualization.canvas import (
    Tile,
    colour_labels,
    colour_scale,
    legend,
    overlay_labels,
    scale_bar,
    stack,
    tile_row,
)

CONFIDENCE_LABEL = 'confidence (largest softmax probability)'
_TILE_WIDTH = 240
_TITLES = {
    'mix': 'mixed',
    'tss': 'TSS: target into source',
    'tst': 'TST: source into target',
    'cross_frame': 'across time',
}


def draw_training_panel(
    panels: Mapping[str, Mapping], classes: Sequence[str], palette: Sequence[Sequence[int]], max_images: int = 4
) -> np.ndarray:
    """One row per image of the batch: source and label, target, pseudo-label and confidence, mixed images and labels.

    Args:
        panels: name -> ``frames`` (N, T, 3, H, W) RGB in [0, 255], ``labels`` (N, T, H, W), and ``confidence``
            (N, T, H, W) in [0, 1] or None. ``source`` and ``target`` come first, then the rest in their order.
            ValueError if there are none.
        classes, palette: names and RGB colours by id.
        max_images: rows at most.
    """
    if not panels:
        raise ValueError('there are no panels to draw: the training step must call its pass hooks')
    columns = [column for name in source_first(panels) for column in panel_columns(name, panels[name], palette)]
    rows = []
    for row in range(min(max_images, max(len(images) for _, images in columns))):
        tiles = [Tile(images[row], '' if row else title) if row < len(images) else None for title, images in columns]
        rows.append(tile_row(tiles, _TILE_WIDTH))
    width = rows[0].shape[1]
    with_confidence = any(panel.get('confidence') is not None for panel in panels.values())
    scale = [scale_bar(width, CONFIDENCE_LABEL)] if with_confidence else []
    return stack([*rows, *scale, legend(classes, palette, width)])


def source_first(panels: Mapping[str, Mapping]) -> list[str]:
    """Names of the panels in the order in which they are drawn."""
    return sorted(panels, key=lambda name: {'source': 0, 'target': 1}.get(name, 2))


def panel_columns(name: str, panel: Mapping, palette: Sequence[Sequence[int]]) -> list[tuple[str, list[np.ndarray]]]:
    """Column titles with one image per sample for one clip of a training step; see `draw_training_panel`."""
    title = _TITLES.get(name, name)
    frames = _numpy(panel['frames'][:, 0].permute(0, 2, 3, 1)).round().clip(0, 255).astype(np.uint8)
    labels = _numpy(panel['labels'][:, 0]).astype(np.uint8)
    columns = [(title, list(frames))]
    if name == 'source':
        # The frame may be smaller than its label, which stays at full size.
        size = frames.shape[2:0:-1]
        resized = [cv2.resize(label, size, interpolation=cv2.INTER_NEAREST) for label in labels]
        overlays = [overlay_labels(frame, label, palette) for frame, label in zip(frames, resized, strict=True)]
        return [*columns, (f'{title}: label', overlays)]
    if name == 'target' and panel.get('confidence') is None:
        # The method has no pseudo-labels.
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
    """Images beside label maps (predictions, ground truth) in label colours, with a legend.

    Args:
        images: RGB images (H, W, 3), one per row.
        columns: column title -> one label map (H, W) per row.
        classes, palette: names and RGB colours by id.
        tile_width: width of each tile in pixels.
    """
    rows = []
    for row, image in enumerate(images):
        drawn = {'image': image, **{title: colour_labels(labels[row], palette) for title, labels in columns.items()}}
        rows.append(tile_row([Tile(part, '' if row else title) for title, part in drawn.items()], tile_width))
    return stack([*rows, legend(classes, palette, rows[0].shape[1])])


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
