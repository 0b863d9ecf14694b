"""One labelled image of a street."""

from __future__ import annotations

import numpy as np

from udass.streets.domain import Domain
from udass.streets.render import render
from udass.streets.scene import draw_scene
from udass.streets.sensor import develop, draw_sensor


def render_image(
    domain: Domain, generator: np.random.Generator, size: tuple[int, int] = (192, 384), *, sensor: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a street and take a picture of it.

    Args:
        domain: :data:`GAME` or :data:`CAMERA`.
        generator: Source of all choices; equal states give equal pictures.
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
