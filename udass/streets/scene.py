"""A whole street: drawn once, seen at any time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from udass.streets.borders import crossing_street, line_street
from udass.streets.camera import CameraPath
from udass.streets.domain import Domain
from udass.streets.plan import Ground, Plan, draw_ground, draw_plan, draw_sky
from udass.streets.surface import MAX_PIXELS, Brush, Surface, noise_tile
from udass.streets.traffic import fill_street

OVERSAMPLE = 2  # colours are rendered at twice the resolution and averaged


@dataclass(frozen=True)
class Scene:
    """A street with everything in it, at time 0, and how it moves.

    Args:
        haze_distance: Distance in metres at which 63 % of a colour is replaced by ``haze``.
        haze: (3,) RGB.
    """

    domain: Domain
    path: CameraPath
    ground: Ground
    sky: np.ndarray
    surfaces: tuple[Surface, ...]
    haze_distance: float
    haze: np.ndarray


def draw_scene(domain: Domain, generator: np.random.Generator, *, size: tuple[int, int], moving: bool = True) -> Scene:
    """Draw a street.

    Args:
        domain: Statistics to draw from.
        generator: Source of all choices.
        size: (height, width) in pixels for which the textures must be fine enough.
        moving: Whether the camera moves.
    """
    brush = _brush(domain, generator)
    plan = draw_plan(domain, generator)
    path = _camera(plan, domain, generator, moving=moving)
    pixels = path.focal * size[1] * OVERSAMPLE

    def resolution(distance: float) -> float:
        return float(np.clip(pixels / max(distance, 4.0), 4.0, 90.0))

    surfaces = crossing_street(plan, domain, brush)
    surfaces += line_street(plan, domain, brush, resolution)
    surfaces += fill_street(plan, domain, brush, resolution, camera_x=float(path.position[0]))
    sky = draw_sky(domain, brush)
    return Scene(
        domain=domain,
        path=path,
        ground=draw_ground(plan, domain, brush),
        sky=sky,
        surfaces=tuple(surfaces),
        haze_distance=float(generator.uniform(*domain.light.haze_distance)),
        haze=sky[-12:].reshape(-1, 3).mean(axis=0),
    )


@lru_cache
def _noise_tiles(domain: Domain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rough, smooth and leafy noise of a domain. The tiles are the same for every seed; textures take random parts."""
    base = np.random.default_rng(domain.key).standard_normal((MAX_PIXELS, MAX_PIXELS), dtype=np.float32)
    amount = domain.surfaces
    return (
        noise_tile(base, grain=amount.rough * 0.8, blotches=amount.rough * 0.8),
        noise_tile(base, grain=amount.smooth, blotches=0.0),
        noise_tile(base, grain=amount.leafy * 0.6, blotches=amount.leafy),
    )


def _brush(domain: Domain, generator: np.random.Generator) -> Brush:
    rough, smooth, leafy = _noise_tiles(domain)
    return Brush(
        generator=generator,
        rough=rough,
        smooth=smooth,
        leafy=leafy,
        jitter=domain.palette.jitter,
        hue_jitter=domain.palette.hue_jitter,
    )


def _camera(plan: Plan, domain: Domain, generator: np.random.Generator, *, moving: bool) -> CameraPath:
    """A camera in one of the right-hand lanes that drives along the street."""
    layout = domain.layout
    lane = int(generator.integers(plan.lanes))
    position = np.array(
        [
            (lane + 0.5) * plan.lane_width + float(generator.uniform(-0.4, 0.4)),
            float(generator.uniform(*layout.camera_height)),
            0.0,
        ]
    )
    angles = np.radians(
        [
            float(generator.uniform(*layout.yaw)),
            float(generator.uniform(*layout.pitch)),
            float(generator.normal(0, 0.6)),
        ]
    )
    speed = float(generator.uniform(*layout.speed))
    rates = np.radians(
        [float(generator.uniform(*layout.yaw_rate)), float(generator.normal(0, 0.5)), float(generator.normal(0, 0.3))]
    )
    motion = 1.0 if moving else 0.0
    return CameraPath(
        focal=float(generator.uniform(*layout.focal)),
        position=position,
        velocity=motion * np.array([0.0, 0.0, speed]),
        angles=angles,
        rates=motion * rates,
    )
