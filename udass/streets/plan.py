"""The plan of a street: widths, ground and sky."""

from dataclasses import dataclass

import cv2
import numpy as np

from udass.streets.domain import Domain
from udass.streets.surface import MAX_PIXELS, Brush

ROAD, SIDEWALK, TERRAIN, SKY = 0, 1, 9, 10
GROUND_HALF_WIDTH = 26.0  # metres; the outermost ground goes on beyond
GROUND_PERIOD = 24.0  # metres along the street after which the ground repeats
_STEP_X, _STEP_Z = 0.05, 0.1


@dataclass(frozen=True)
class Plan:
    """Widths in metres, X = 0 in the middle of the street, traffic on the right.

    ``road`` is half the width of the roadway, ``kerb`` starts there, ``verge`` of grass and ``sidewalk`` follow on both
    sides; ``crossing`` is the Z range of a crossing street or None.
    """

    lanes: int
    lane_width: float
    parking: bool
    road: float
    verge: float
    sidewalk: float
    crossing: tuple[float, float] | None

    @property
    def edge(self) -> float:
        """Distance of the outer edge of the sidewalk from the middle."""
        return self.road + self.verge + self.sidewalk


@dataclass(frozen=True)
class Ground:
    """Periodic ground.

    ``levels`` of detail along Z are (rows, columns, 3) uint8 with their step in metres; ``label`` is (columns,) uint8.
    """

    levels: tuple[tuple[np.ndarray, float], ...]
    label: np.ndarray
    step_x: float
    step_z: float


def draw_plan(domain: Domain, generator: np.random.Generator) -> Plan:
    """Draw the widths of a street."""
    layout = domain.layout
    lanes = int(generator.integers(int(layout.lanes[0]), int(layout.lanes[1]) + 1))
    lane_width = float(generator.uniform(*layout.lane_width))
    parking = bool(generator.random() < layout.parking_share)
    verge = float(generator.uniform(1.0, 2.5)) if generator.random() < layout.verge_share else 0.0
    crossing = None
    if generator.random() < layout.crossing_share:
        start = float(generator.uniform(12.0, 40.0))
        crossing = (start, start + float(generator.uniform(8.0, 13.0)))
    return Plan(
        lanes=lanes,
        lane_width=lane_width,
        parking=parking,
        road=lanes * lane_width + (2.2 if parking else 0.3),
        verge=verge,
        sidewalk=float(generator.uniform(*layout.sidewalk_width)),
        crossing=crossing,
    )


def draw_ground(plan: Plan, domain: Domain, brush: Brush) -> Ground:
    """Paint one period of the ground: roadway with lane markings, kerbs, verges, sidewalks, and terrain beyond."""
    draw, palette = brush.generator, domain.palette
    rows, columns = round(GROUND_PERIOD / _STEP_Z), round(2 * GROUND_HALF_WIDTH / _STEP_X)
    x = np.abs((np.arange(columns) + 0.5) * _STEP_X - GROUND_HALF_WIDTH)
    label = np.full(columns, TERRAIN, np.uint8)
    colour = np.empty((columns, 3))
    colour[:] = brush.pick(palette.terrain)
    walk = brush.pick(palette.sidewalk)
    colour[x < plan.edge], label[x < plan.edge] = walk, SIDEWALK
    if plan.verge:
        grass = (x > plan.road + 0.3) & (x < plan.road + 0.3 + plan.verge)
        colour[grass], label[grass] = brush.pick(palette.terrain), TERRAIN
    kerb = x < plan.road + 0.3
    colour[kerb], label[kerb] = brush.pick(palette.kerb), SIDEWALK
    gutter, road = x < plan.road, x < plan.road - 0.3
    asphalt = brush.pick(palette.asphalt)
    colour[gutter], label[gutter] = asphalt * 0.82, ROAD
    colour[road] = asphalt
    texture = np.empty((rows, columns, 3), np.uint8)
    texture[:] = np.clip(colour, 0, 255)
    slabs = (label == SIDEWALK) & ~kerb
    joints = np.clip(walk * 0.87, 0, 255)
    texture[:: round(1.2 / _STEP_Z), slabs] = joints
    texture[:, slabs & (np.arange(columns) % 24 == 0)] = joints
    _markings(texture, plan, colour=np.clip(brush.pick(palette.marking), 0, 255))
    for left in range(0, columns, MAX_PIXELS):
        part = texture[:, left : left + MAX_PIXELS]
        start = int(draw.integers(0, MAX_PIXELS - rows + 1))
        noise = brush.rough[start : start + rows, : part.shape[1]]
        grass = label[left : left + MAX_PIXELS] == TERRAIN
        if grass.any():
            noise = np.where(grass[None, :, None], brush.leafy[start : start + rows, : part.shape[1]], noise)
        part[:] = cv2.add(part, noise, dtype=cv2.CV_8U)
    _patches(texture, plan, domain, draw)
    levels = [(texture, _STEP_Z)]
    for factor in (4, 20):
        levels.append((cv2.resize(texture, (columns, rows // factor), interpolation=cv2.INTER_AREA), _STEP_Z * factor))
    return Ground(levels=tuple(levels), label=label, step_x=_STEP_X, step_z=_STEP_Z)


def _markings(texture: np.ndarray, plan: Plan, *, colour: np.ndarray) -> None:
    """Middle line, dashes between lanes, and solid lines at the outer edges; changes ``texture``."""
    rows = texture.shape[0]
    dash = np.arange(rows) * _STEP_Z % 8.0 < 3.5
    for lane in range(-plan.lanes, plan.lanes + 1):
        left = round((lane * plan.lane_width - 0.08 + GROUND_HALF_WIDTH) / _STEP_X)
        where = slice(left, left + 3)
        if abs(lane) == plan.lanes or (lane == 0 and plan.lanes > 1):
            texture[:, where] = colour
        else:
            texture[dash, where] = colour


def _patches(texture: np.ndarray, plan: Plan, domain: Domain, draw: np.random.Generator) -> None:
    """Repairs, stains and manholes of the roadway; changes ``texture``."""
    rows = texture.shape[0]
    for _ in range(int(draw.poisson(domain.surfaces.patches))):
        x, z = float(draw.uniform(-plan.road + 0.4, plan.road - 2.0)), int(draw.integers(0, rows - 30))
        left = round((x + GROUND_HALF_WIDTH) / _STEP_X)
        width, length = int(draw.integers(12, 36)), int(draw.integers(8, 80))
        block = texture[z : z + length, left : left + width]
        block[:] = np.clip(block * float(draw.uniform(0.72, 1.12)), 0, 255)
    for _ in range(int(draw.poisson(0.5 * domain.surfaces.patches))):
        x, z = float(draw.uniform(-plan.road + 0.8, plan.road - 0.8)), int(draw.integers(10, rows - 10))
        centre = (round((x + GROUND_HALF_WIDTH) / _STEP_X), z)
        cv2.ellipse(texture, centre, (7, 4), 0, 0, 360, tuple(float(v) for v in texture[z, centre[0]] * 0.6), -1)


def draw_sky(domain: Domain, brush: Brush) -> np.ndarray:
    """(128, 256, 3) uint8 sky over the directions x in [-2, 2], y from 1.5 (row 0) down to -0.1 at z = 1."""
    draw, palette = brush.generator, domain.palette
    top, horizon, cloud = brush.pick(palette.sky_top), brush.pick(palette.sky_horizon), brush.pick(palette.cloud)
    height = np.linspace(1.0, 0.0, 128) ** 0.7
    sky = horizon + height[:, None, None] * (top - horizon) + np.zeros((128, 256, 1))
    scales = ((6, 12), (14, 30), (36, 70))
    cover = sum(
        cv2.resize(draw.standard_normal(shape), (256, 128), interpolation=cv2.INTER_CUBIC) / (level + 1)
        for level, shape in enumerate(scales)
    )
    cover = np.clip(cover - float(draw.uniform(-0.2, 1.0)), 0, 1)[..., None] * domain.light.clouds * 2
    return np.clip(sky + np.clip(cover, 0, 0.9) * (cloud - sky), 0, 255).astype(np.uint8)


def sky_directions() -> np.ndarray:
    """(3, 3) from homogeneous pixels of :func:`draw_sky` to world directions."""
    return np.array([[4.0 / 256, 0, -2.0 + 2.0 / 256], [0, -1.6 / 128, 1.5 - 0.8 / 128], [0, 0, 1.0]])
