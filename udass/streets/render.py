"""Render scenes as images and clips, with labels and the exact optical flow.

Shapes: H W pixels of the image, S x S samples per pixel for the colours, K surfaces. Colours are averaged over the
samples; labels and surface numbers are those at the centre of the pixel. A flow holds (dx, dy) in pixels from the
current frame to another frame; the point at (x, y) of the current frame is at (x + dx, y + dy) in the other.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from udass.streets.camera import develop, draw_sensor, pixel_grid
from udass.streets.domain import Domain
from udass.streets.plan import GROUND_HALF_WIDTH, GROUND_PERIOD, SKY, Ground, sky_directions
from udass.streets.scene import OVERSAMPLE, Scene, draw_scene
from udass.streets.surface import CLEAR, Layer, Surface

_SKY_NUMBER, _GROUND_NUMBER, _FIRST_SURFACE = 0, 1, 2
_NEAR = 0.3  # metres; what is closer to the camera is cut off
_HORIZON = 5000.0  # metres; the ground ends there
_LEVEL_DISTANCES = (10.0, 26.0)  # metres at which the ground changes to its next level of detail
_SKY_TEXTURE_TO_RAY = sky_directions()
_LIFT = np.array([[OVERSAMPLE, 0, (OVERSAMPLE - 1) / 2], [0, OVERSAMPLE, (OVERSAMPLE - 1) / 2], [0, 0, 1.0]])


@dataclass(frozen=True)
class Rendering:
    """One view of a scene, before the sensor.

    Args:
        rgb: (H, W, 3) float32 in 0..255.
        label: (H, W) uint8 train ids.
        number: (H, W) int32, the plane that a pixel belongs to: 0 sky, 1 ground, 2 + k surface k of the scene.
        homographies: (K + 2, 3, 3) from a point of that plane (which moves with it) to homogeneous pixels; the last
            coordinate is the depth in metres (for the sky only its sign counts).
    """

    rgb: np.ndarray
    label: np.ndarray
    number: np.ndarray
    homographies: np.ndarray


def render(scene: Scene, *, time: float, size: tuple[int, int]) -> Rendering:
    """The view at ``time`` seconds, ``size`` (height, width) in pixels."""
    projection = scene.path.projection(time=time, size=size)
    homographies = np.empty((len(scene.surfaces) + _FIRST_SURFACE, 3, 3))
    homographies[_SKY_NUMBER] = projection[:, :3] @ _SKY_TEXTURE_TO_RAY
    homographies[_GROUND_NUMBER] = projection[:, [0, 2, 3]]
    for index, surface in enumerate(scene.surfaces):
        homographies[index + _FIRST_SURFACE] = projection @ surface.placement(time=time)
    height, width = size
    rgb = cv2.warpPerspective(
        scene.sky,
        _LIFT @ homographies[_SKY_NUMBER],
        (width * OVERSAMPLE, height * OVERSAMPLE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    view = _View(rgb=rgb, label=np.full(size, SKY, np.uint8), number=np.full(size, _SKY_NUMBER, np.int32))
    _paint_ground(view, scene.ground, homographies[_GROUND_NUMBER], size)
    order = sorted(range(len(scene.surfaces)), key=lambda k: _rank(scene.surfaces[k], time))
    for index in order:
        surface = scene.surfaces[index]
        _paint_surface(
            view,
            surface,
            homographies[index + _FIRST_SURFACE],
            projection @ _homogeneous(surface.corners(time=time)),
            index + _FIRST_SURFACE,
        )
    rgb = cv2.resize(view.rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    _add_haze(rgb, scene, view.number, homographies)
    return Rendering(rgb=rgb, label=view.label, number=view.number, homographies=homographies)


@dataclass(frozen=True)
class _View:
    """The image, painted in place.

    rgb (H * S, W * S, 3) uint8, label (H, W) uint8, number (H, W) int32.
    """

    rgb: np.ndarray
    label: np.ndarray
    number: np.ndarray


def _rank(surface: Surface, time: float) -> tuple[int, float, int]:
    """Painting order: by layer, far before near."""
    if surface.layer == Layer.DECAL:
        return surface.layer, float(surface.order), 0
    return surface.layer, -(surface.anchor + time * surface.velocity[2]), surface.order


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.vstack([points.T, np.ones(len(points))])


def _paint_ground(view: _View, ground: Ground, homography: np.ndarray, size: tuple[int, int]) -> None:
    """Paint what is below the horizon."""
    back = np.linalg.inv(homography).astype(np.float32)
    top = _first_row(back[2], size)
    for oversample, colours in ((OVERSAMPLE, True), (1, False)):
        grid = pixel_grid(size, oversample=oversample)[:, top * oversample :]
        if not grid.shape[1]:
            return
        nearness = back[2, 0] * grid[0] + back[2, 1] * grid[1] + back[2, 2]
        below = nearness > 1 / _HORIZON
        depth = 1 / np.where(below, nearness, 1 / _HORIZON)
        x = (back[0, 0] * grid[0] + back[0, 1] * grid[1] + back[0, 2]) * depth
        x = (x + GROUND_HALF_WIDTH) / ground.step_x - 0.5
        if colours:
            z = (back[1, 0] * grid[0] + back[1, 1] * grid[1] + back[1, 2]) * depth
            _ground_colours(view.rgb[top * oversample :], ground, x, z, depth, below)
        else:
            column = np.clip(np.round(x), 0, len(ground.label) - 1).astype(np.int32)
            np.copyto(view.label[top:], ground.label[column], where=below)
            np.copyto(view.number[top:], _GROUND_NUMBER, where=below)


def _first_row(weights: np.ndarray, size: tuple[int, int]) -> int:
    """The first pixel row of which a part can be below the horizon."""
    height, width = size
    rows = [-(weights[0] * x + weights[2]) / weights[1] for x in (-1.0, float(width))]
    return int(np.clip(np.floor(min(rows)) - 1, 0, height))


def _ground_colours(
    rgb: np.ndarray, ground: Ground, x: np.ndarray, z: np.ndarray, depth: np.ndarray, below: np.ndarray
) -> None:
    """Sample the ground with the level of detail of its distance; changes ``rgb``.

    x: column of the ground texture; z, depth: metres; all (rows, columns) like ``rgb``.
    """
    near = np.where(below, depth, np.inf).min(axis=1)
    limits = [0.0, *_LEVEL_DISTANCES, np.inf]
    columns = ground.levels[0][0].shape[1]
    x = np.clip(x, 0, columns - 1).astype(np.float32)
    z = np.mod(z, GROUND_PERIOD)
    for level, (texture, step) in enumerate(ground.levels):
        rows = np.flatnonzero((near >= limits[level]) & (near < limits[level + 1]))
        if not len(rows):
            continue
        part = slice(rows[0], rows[-1] + 1)
        padded = np.concatenate([texture[-1:], texture, texture[:1]])
        row = (z[part] / step + 0.5).astype(np.float32)
        colour = cv2.remap(padded, x[part], row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cv2.copyTo(colour, below[part].astype(np.uint8), rgb[part])


def _paint_surface(view: _View, surface: Surface, homography: np.ndarray, corners: np.ndarray, number: int) -> None:
    """Paint a surface; ``corners`` (3, 4) are its projected corners before the division."""
    bounds = _bounds(corners, view.label.shape)
    if bounds is None:
        return
    left, top, right, bottom = bounds
    width, height = right - left, bottom - top
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    texture, local = surface.texture, shift @ homography
    fine = _LIFT @ local
    fine_size = (width * OVERSAMPLE, height * OVERSAMPLE)
    mask = cv2.warpPerspective(
        texture.label, fine, fine_size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=CLEAR
    )
    mask = (mask != CLEAR).view(np.uint8)
    patch = view.rgb[top * OVERSAMPLE : bottom * OVERSAMPLE, left * OVERSAMPLE : right * OVERSAMPLE]
    colour = cv2.warpPerspective(texture.rgb, fine, fine_size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if surface.layer == Layer.SHADOW:
        colour = cv2.multiply(patch, colour, scale=1 / 255)
    cv2.copyTo(colour, mask, patch)
    if surface.layer == Layer.SHADOW:
        return
    label = cv2.warpPerspective(
        texture.label,
        local,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=CLEAR,
    )
    seen = label != CLEAR
    np.copyto(view.label[top:bottom, left:right], label, where=seen)
    np.copyto(view.number[top:bottom, left:right], number, where=seen)


def _bounds(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Pixel box (left, top, right, bottom) of the part in front of the camera and in the image, or None."""
    points = [] if corners[2].min() < _NEAR else corners[:2].T / corners[2][:, None]
    for start, end in zip(corners.T, corners.T[[1, 2, 3, 0]], strict=True) if not len(points) else ():
        if start[2] >= _NEAR:
            points.append(start[:2] / start[2])
        if (start[2] < _NEAR) != (end[2] < _NEAR):
            cut = start + (end - start) * ((_NEAR - start[2]) / (end[2] - start[2]))
            points.append(cut[:2] / cut[2])
    if not len(points):
        return None
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    left, top = (max(int(np.floor(value)) - 1, 0) for value in np.clip(low, -10, 1e6))
    right, bottom = (
        min(int(np.ceil(value)) + 2, limit)
        for value, limit in zip(np.clip(high, -10, 1e6), (size[1], size[0]), strict=True)
    )
    return (left, top, right, bottom) if right > left and bottom > top else None


def _add_haze(rgb: np.ndarray, scene: Scene, number: np.ndarray, homographies: np.ndarray) -> None:
    """Blend distant colours into the haze; changes ``rgb``."""
    nearness = np.linalg.inv(homographies)[:, 2].astype(np.float32)  # 1 / depth is linear in the pixel position
    table = nearness[number]
    grid = pixel_grid(number.shape)
    inverse_depth = table[..., 0] * grid[0] + table[..., 1] * grid[1] + table[..., 2]
    depth = 1.0 / np.maximum(inverse_depth, 1e-4)
    share = 1.0 - np.exp(-depth / scene.haze_distance)
    share[number == _SKY_NUMBER] = 0.0
    rgb += share[..., None] * (scene.haze.astype(np.float32) - rgb)


def render_image(
    domain: Domain, generator: np.random.Generator, size: tuple[int, int] = (192, 384), *, sensor: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a street and render one image of it.

    Args:
        domain: :data:`GAME` or :data:`CAMERA`.
        generator: Source of all choices; equal states give equal images.
        size: (height, width) in pixels.
        sensor: False leaves out blur, noise, vignette, colour cast and compression.

    Returns:
        Image (H, W, 3) uint8 RGB and label (H, W) uint8 of Cityscapes train ids.
    """
    scene = draw_scene(domain, generator, size=size)
    view = render(scene, time=0.0, size=size)
    if not sensor:
        return np.clip(np.round(view.rgb), 0, 255).astype(np.uint8), view.label
    return develop(view.rgb, draw_sensor(domain, generator), generator), view.label


FRAMES_PER_SECOND = 12.0


@dataclass(frozen=True)
class StreetClip:
    """Consecutive frames of one street; T frames of H x W pixels.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        labels: (T, H, W) uint8 Cityscapes train ids.
        flows: (H, W, 2) float32 pixels (dx, dy) by (current, other) frame, from a frame to each of the two before it.
        valid: By the same keys: (H, W) bool, whether the point of a pixel is visible in the other frame.
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
    """Draw a street and render a clip of it.

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
    """Motion of the point at each pixel of ``current``, and whether it is visible in ``other``.

    Both must be views of one scene. Every pixel lies on a plane whose homographies to both views are known, so the
    motion is exact; a point is visible in ``other`` if the pixel that it falls into belongs to the same plane.

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
