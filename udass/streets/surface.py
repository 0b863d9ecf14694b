"""Flat textured pieces of the world: everything but the ground and the sky is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from udass.streets.canvas import Texture


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
