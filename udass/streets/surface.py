"""Textures and the surfaces that carry them: everything but the ground and the sky is made of them.

A texture is drawn on a canvas, which is measured in metres: x from its middle to the right, y from its foot upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import cv2
import numpy as np

CLEAR = 255  # label of the transparent part of a texture
MAX_PIXELS = 512  # longest side of a texture, the size of the noise tiles
_SHIFT = 4
_ONE = 1 << _SHIFT  # drawing positions are in 1 / 16 pixel


@dataclass(frozen=True)
class Texture:
    """A flat thing of ``width`` x ``height`` metres: rgb (h, w, 3) uint8, label (h, w) uint8 train ids, 255 = clear."""

    rgb: np.ndarray
    label: np.ndarray
    width: float
    height: float


def _bytes(colour: Sequence[float]) -> tuple[int, int, int]:
    red, green, blue = colour.tolist() if isinstance(colour, np.ndarray) else colour
    return (min(max(int(red), 0), 255), min(max(int(green), 0), 255), min(max(int(blue), 0), 255))


class Canvas:
    """A texture in the making.

    Args:
        width, height: Extent in metres.
        scale: Pixels per metre (fewer if the canvas would get too large).
        colour: Colour under the clear part; choose that of the object, because it bleeds into the rim.
    """

    def __init__(self, width: float, height: float, scale: float, colour: Sequence[float]) -> None:
        self.width, self.height = width, height
        self.columns = int(np.clip(round(width * scale), 2, MAX_PIXELS))
        self.rows = int(np.clip(round(height * scale), 2, MAX_PIXELS))
        self._step_x, self._step_y = self.columns / width, self.rows / height
        self.rgb = np.empty((self.rows, self.columns, 3), np.uint8)
        cv2.rectangle(self.rgb, (0, 0), (self.columns, self.rows), _bytes(colour), -1)
        self.label = np.full((self.rows, self.columns), CLEAR, np.uint8)

    def _pixels(self, points: Sequence[Sequence[float]]) -> np.ndarray:
        return np.array([self._pixel(x, y) for x, y in points], np.int32)

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        return (
            round(((x + self.width / 2) * self._step_x - 0.5) * _ONE),
            round(((self.height - y) * self._step_y - 0.5) * _ONE),
        )

    def polygon(self, points: Sequence[Sequence[float]], colour: Sequence[float], label: int) -> None:
        """Fill a polygon of (x, y) points in metres."""
        pixels = self._pixels(points)
        cv2.fillPoly(self.rgb, [pixels], _bytes(colour), cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.label, [pixels], label, cv2.LINE_8, _SHIFT)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Sequence[float], label: int) -> None:
        """Fill an upright rectangle."""
        step_x, step_y = self._step_x, self._step_y
        x0, x1 = round((left + self.width / 2) * step_x), round((right + self.width / 2) * step_x)
        y0, y1 = round((self.height - top) * step_y), round((self.height - bottom) * step_y)
        x0, y0 = min(max(x0, 0), self.columns - 1), min(max(y0, 0), self.rows - 1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        cv2.rectangle(self.rgb, (x0, y0), (x1 - 1, y1 - 1), _bytes(colour), -1)
        self.label[y0:y1, x0:x1] = label

    def disc(self, x: float, y: float, radius_x: float, radius_y: float, colour: Sequence[float], label: int) -> None:
        """Fill an ellipse."""
        centre = self._pixel(x, y)
        axes = (max(int(radius_x * self._step_x * _ONE), 1), max(int(radius_y * self._step_y * _ONE), 1))
        cv2.ellipse(self.rgb, centre, axes, 0, 0, 360, _bytes(colour), -1, cv2.LINE_8, _SHIFT)
        cv2.ellipse(self.label, centre, axes, 0, 0, 360, label, -1, cv2.LINE_8, _SHIFT)

    def stroke(self, points: Sequence[Sequence[float]], thickness: float, colour: Sequence[float], label: int) -> None:
        """Draw a chain of lines, ``thickness`` in metres."""
        pixels = [self._pixels(points)]
        width = max(round(thickness * self._step_x), 1)
        cv2.polylines(self.rgb, pixels, False, _bytes(colour), width, cv2.LINE_8, _SHIFT)
        cv2.polylines(self.label, pixels, False, label, width, cv2.LINE_8, _SHIFT)

    def shade(self, *, top: float, bottom: float) -> None:
        """Multiply the brightness by a ramp from ``top`` to ``bottom``, both at most 1."""
        ramp = np.linspace(256 * top, 256 * bottom, self.rows).astype(np.uint16)
        self.rgb = ((self.rgb * ramp[:, None, None]) >> 8).astype(np.uint8)

    def finish(self, noise: np.ndarray | None, generator: np.random.Generator) -> Texture:
        """Lay a random part of a noise tile, (512, 512, 3) int16 grey levels, over the colours."""
        rgb = self.rgb
        if noise is not None:
            y = int(generator.integers(0, MAX_PIXELS - self.rows + 1))
            x = int(generator.integers(0, MAX_PIXELS - self.columns + 1))
            rgb = cv2.add(rgb, noise[y : y + self.rows, x : x + self.columns], dtype=cv2.CV_8U)
        return Texture(rgb=rgb, label=self.label, width=self.width, height=self.height)


@dataclass(frozen=True)
class Brush:
    """What every drawing function needs: colours, noise tiles and the generator of the street."""

    generator: np.random.Generator
    rough: np.ndarray
    smooth: np.ndarray
    leafy: np.ndarray
    jitter: float
    hue_jitter: float

    def pick(self, colours: Sequence[Sequence[int]], *, brightness: float = 1.0) -> np.ndarray:
        """One of the colours, jittered; (3,) float in 0..255."""
        draw = self.generator
        colour = np.asarray(colours[int(draw.integers(len(colours)))], np.float64)
        colour = colour * (1 + self.jitter * draw.standard_normal()) + self.hue_jitter * draw.standard_normal(3)
        return colour * brightness


def noise_tile(base: np.ndarray, *, grain: float, blotches: float) -> np.ndarray:
    """Noise in grey levels, (512, 512, 3) int16: fine grain and blotches at two coarser scales.

    ``base`` is (512, 512) float32 noise of unit variance.
    """
    total = base * grain
    for step, share in ((4, 0.6), (24, 0.8)):
        cells = MAX_PIXELS // step + 2
        coarse = cv2.resize(base[:cells, :cells], (cells * step, cells * step), interpolation=cv2.INTER_CUBIC)
        total = total + blotches * share * coarse[:MAX_PIXELS, :MAX_PIXELS]
    return np.repeat(np.round(total).astype(np.int16)[..., None], 3, axis=2)


class Layer(IntEnum):
    """Painting order; within a layer far things come first.

    The camera is inside the street, so what stands farther from the middle of the street is painted earlier.
    """

    DECAL = 0  # flat on the ground
    SHADOW = 1  # flat on the ground, darkens what lies there
    SKYLINE = 2
    BUILDING = 3
    BEHIND = 4  # between the buildings and what borders the sidewalk
    BORDER = 5  # walls, fences, hedges along the sidewalk
    STREET = 6


def _still() -> np.ndarray:
    return np.zeros(3)


@dataclass(frozen=True)
class Surface:
    """A texture on a parallelogram in the world.

    Args:
        texture: Its colours and labels. In layer SHADOW the colours are factors of brightness (255 = 1) where the label
            is not clear.
        corner: (3,) world position of the upper left corner of the texture at time 0.
        across, down: (3,) vectors along the upper and the left edge, metres.
        layer: Painting order.
        order: Painting order among the surfaces of one object, later on top.
        anchor: Z (metres, at time 0) that sorts within the layer.
        velocity: (3,) metres per second.
    """

    texture: Texture
    corner: np.ndarray
    across: np.ndarray
    down: np.ndarray
    layer: Layer
    anchor: float
    order: int = 0
    velocity: np.ndarray = field(default_factory=_still)

    def placement(self, *, time: float) -> np.ndarray:
        """(4, 3) from homogeneous texture pixels to homogeneous world points at ``time``."""
        rows, columns = self.texture.label.shape
        step_x, step_y = self.across / columns, self.down / rows
        origin = self.corner + time * self.velocity + 0.5 * step_x + 0.5 * step_y
        matrix = np.zeros((4, 3))
        matrix[:3] = np.stack([step_x, step_y, origin], axis=1)
        matrix[3, 2] = 1.0
        return matrix

    def corners(self, *, time: float) -> np.ndarray:
        """(4, 3) world positions of the corners, in order around the edge."""
        corner = self.corner + time * self.velocity
        return np.stack([corner, corner + self.across, corner + self.across + self.down, corner + self.down])


def upright(
    texture: Texture,
    *,
    x: float,
    z: float,
    layer: Layer = Layer.STREET,
    order: int = 0,
    mirrored: bool = False,
    anchor: float | None = None,
    velocity: np.ndarray | None = None,
) -> Surface:
    """A texture that stands at (x, z) and faces the camera; ``x`` is its middle."""
    sign = -1.0 if mirrored else 1.0
    return Surface(
        texture=texture,
        corner=np.array([x - sign * texture.width / 2, texture.height, z]),
        across=np.array([sign * texture.width, 0, 0]),
        down=np.array([0, -texture.height, 0.0]),
        layer=layer,
        order=order,
        anchor=z if anchor is None else anchor,
        velocity=_still() if velocity is None else velocity,
    )


def lengthwise(
    texture: Texture,
    *,
    x: float,
    z: float,
    layer: Layer,
    order: int = 0,
    mirrored: bool = False,
    velocity: np.ndarray | None = None,
) -> Surface:
    """A texture along the street from (x, z) to (x, z + its width); its left end is near unless ``mirrored``."""
    start, sign = (z + texture.width, -1.0) if mirrored else (z, 1.0)
    return Surface(
        texture=texture,
        corner=np.array([x, texture.height, start]),
        across=np.array([0, 0, sign * texture.width]),
        down=np.array([0, -texture.height, 0.0]),
        layer=layer,
        order=order,
        anchor=z,
        velocity=_still() if velocity is None else velocity,
    )


def flat(
    texture: Texture, *, x: float, z: float, layer: Layer, order: int = 0, velocity: np.ndarray | None = None
) -> Surface:
    """A texture on the ground, its width along X and its height along Z, centred on (x, z)."""
    return Surface(
        texture=texture,
        corner=np.array([x - texture.width / 2, 0, z + texture.height / 2]),
        across=np.array([texture.width, 0, 0]),
        down=np.array([0, 0, -texture.height]),
        layer=layer,
        order=order,
        anchor=z,
        velocity=_still() if velocity is None else velocity,
    )
