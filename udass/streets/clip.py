"""Clips of a street with the exact motion of every pixel.

Flow convention: pixels (dx, dy) from the current frame to another frame; the point at (x, y) of the current frame is at
(x + dx, y + dy) in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udass.streets.camera import pixel_grid
from udass.streets.domain import Domain
from udass.streets.render import Rendering, render
from udass.streets.scene import draw_scene
from udass.streets.sensor import develop, draw_sensor

FRAMES_PER_SECOND = 12.0


@dataclass(frozen=True)
class StreetClip:
    """Consecutive frames of one street; T frames of H x W pixels.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        labels: (T, H, W) uint8 Cityscapes train ids.
        flows: (H, W, 2) float32 pixels (dx, dy) by (current, other) frame, from a frame to each of the two before it.
        valid: By the same keys: (H, W) bool, whether the point of a pixel is in the other picture and not hidden there.
    """

    frames: np.ndarray
    labels: np.ndarray
    flows: dict[tuple[int, int], np.ndarray]
    valid: dict[tuple[int, int], np.ndarray]


def render_clip(
    domain: Domain,
    generator: np.random.Generator,
    size: tuple[int, int] = (192, 384),
    length: int = 4,
    *,
    sensor: bool = True,
    moving: bool = True,
) -> StreetClip:
    """Draw a street and film it.

    Args:
        domain: :data:`GAME` or :data:`CAMERA`.
        generator: Source of all choices.
        size: (height, width) in pixels.
        length: Frames, :data:`FRAMES_PER_SECOND` apart.
        sensor: False leaves out blur, noise, vignette, colour cast and compression.
        moving: False holds the camera and the time still.
    """
    scene = draw_scene(domain, generator, size=size)
    state = draw_sensor(domain, generator)
    step = 1.0 / FRAMES_PER_SECOND if moving else 0.0
    views = [render(scene, time=number * step, size=size) for number in range(length)]
    frames = [
        develop(view.rgb, state, generator) if sensor else np.clip(np.round(view.rgb), 0, 255).astype(np.uint8)
        for view in views
    ]
    flows, valid = {}, {}
    for current in range(1, length):
        for other in range(max(current - 2, 0), current):
            flows[current, other], valid[current, other] = exact_flow(views[current], views[other])
    return StreetClip(
        frames=np.stack(frames), labels=np.stack([view.label for view in views]), flows=flows, valid=valid
    )


def exact_flow(current: Rendering, other: Rendering) -> tuple[np.ndarray, np.ndarray]:
    """Motion of the point that each pixel of ``current`` shows, and whether ``other`` shows it too.

    Both must be views of one scene. Every pixel lies on a plane whose homographies to both views are known, so the
    motion is exact; a point is shown in ``other`` if the pixel it falls into shows the same plane.

    Returns:
        Flow (H, W, 2) float32 pixels, and validity (H, W) bool. The flow of points behind the other camera is 0.
    """
    height, width = current.number.shape
    motion = other.homographies @ np.linalg.inv(current.homographies)
    table = motion[current.number]
    grid = pixel_grid((height, width)).astype(np.float64)
    x, y, depth = (table[..., row, 0] * grid[0] + table[..., row, 1] * grid[1] + table[..., row, 2] for row in range(3))
    front = depth > 1e-6
    depth = np.where(front, depth, 1.0)
    x, y = np.where(front, x / depth, grid[0]), np.where(front, y / depth, grid[1])
    flow = np.stack([x - grid[0], y - grid[1]], axis=-1).astype(np.float32)
    rim = 1e-6  # of rounding, so that points on the border that stay there are inside
    inside = front & (x >= -rim) & (x <= width - 1 + rim) & (y >= -rim) & (y <= height - 1 + rim)
    column = np.clip(np.round(x), 0, width - 1).astype(np.int64)
    row = np.clip(np.round(y), 0, height - 1).astype(np.int64)
    return flow, inside & (other.number[row, column] == current.number)
