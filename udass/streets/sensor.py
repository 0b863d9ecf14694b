"""What a camera (or a game engine) makes of the light: exposure, colour, blur, vignette, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from udass.streets.domain import Domain

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
