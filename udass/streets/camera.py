"""Pinhole camera over a flat street.

World axes: X right, Y up (ground at 0), Z along the street, metres. Image axes: x right, y down, pixels; a whole
number is the centre of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class CameraPath:
    """A camera and its motion; ``pose(time)`` is exact at any time (seconds).

    Args:
        focal: Focal length in image widths.
        position: (X, Y, Z) at time 0.
        velocity: (3,) metres per second.
        angles: (yaw to the right, pitch downwards, roll) in radians at time 0.
        rates: Their change per second.
    """

    focal: float
    position: np.ndarray
    velocity: np.ndarray
    angles: np.ndarray
    rates: np.ndarray

    def rotation(self, *, time: float) -> np.ndarray:
        """(3, 3) from world directions to camera directions (x right, y down, z forward)."""
        yaw, pitch, roll = self.angles + time * self.rates
        flip = np.diag([1.0, -1.0, 1.0])
        turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        tilt = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return tilt @ nod @ turn @ flip

    def projection(self, *, time: float, size: tuple[int, int]) -> np.ndarray:
        """(3, 4) from homogeneous world points to homogeneous pixels; the third row is the depth in metres.

        Args:
            time: Seconds.
            size: Image (height, width) in pixels.
        """
        height, width = size
        focal = self.focal * width
        intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        centre = self.position + time * self.velocity
        rotation = self.rotation(time=time)
        return intrinsics @ np.hstack([rotation, -(rotation @ centre)[:, None]])


@lru_cache(maxsize=4)
def pixel_grid(size: tuple[int, int], *, oversample: int = 1) -> np.ndarray:
    """Homogeneous positions of the (sub-)pixel centres in pixels of ``size``, (3, H * oversample, ...) float32."""
    height, width = size
    x = (np.arange(width * oversample, dtype=np.float32) + 0.5) / oversample - 0.5
    y = (np.arange(height * oversample, dtype=np.float32) + 0.5) / oversample - 0.5
    grid = np.ones((3, len(y), len(x)), np.float32)
    grid[0] = x[None]
    grid[1] = y[:, None]
    grid.flags.writeable = False  # it is shared
    return grid
