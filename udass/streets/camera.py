"""Pinhole camera over a flat street, and what its sensor makes of the light.

World axes: X right, Y up (ground at 0), Z along the street, metres. Image axes: x right, y down, pixels; a whole
number is the centre of a pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from udass.streets.domain import Domain


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


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class SensorState:
    """Settings of the sensor during one image or clip; units as in :class:`~udass.streets.domain.Sensor`."""

    gains: tuple[float, float, float]
    gamma: float
    saturation: float
    blur: float
    vignette: float
    noise: float
    jpeg_quality: int | None


def draw_sensor(domain: Domain, generator: np.random.Generator) -> SensorState:
    """Draw the settings of one image or clip."""
    sensor = domain.sensor
    exposure = float(generator.uniform(*sensor.exposure))
    gains = (
        exposure * float(generator.uniform(*sensor.red_gain)),
        exposure,
        exposure * float(generator.uniform(*sensor.blue_gain)),
    )
    quality = None if sensor.jpeg_quality is None else int(generator.integers(*sensor.jpeg_quality))
    return SensorState(
        gains=gains,
        gamma=float(generator.uniform(*sensor.gamma)),
        saturation=float(generator.uniform(*sensor.saturation)),
        blur=float(generator.uniform(*sensor.blur)),
        vignette=float(generator.uniform(*sensor.vignette)),
        noise=float(generator.uniform(*sensor.noise)),
        jpeg_quality=quality,
    )


def develop(rgb: np.ndarray, state: SensorState, generator: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 photograph of (H, W, 3) float32 light in 0..255; the generator gives the noise of this frame."""
    height, width = rgb.shape[:2]
    image = rgb * np.array(state.gains, np.float32)
    grey = image @ _LUMA
    image = grey[..., None] + state.saturation * (image - grey[..., None])
    if state.gamma != 1.0:
        table = (np.linspace(0, 1, 1024, dtype=np.float32) ** state.gamma) * 255
        image = table[np.clip(image * (1023 / 255), 0, 1023).astype(np.int32)]
    sigma = state.blur * width / 384
    if sigma > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    image = image * (1 - state.vignette * (x[None] ** 2 + y[:, None] ** 2) / 2)[..., None]
    image = image + state.noise * generator.standard_normal(image.shape, dtype=np.float32)
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    if state.jpeg_quality is not None:
        coded = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, state.jpeg_quality])[1]
        image = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
    return image
