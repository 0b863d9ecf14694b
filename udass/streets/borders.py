"""What lines a street: buildings, parks, walls, fences, poles and trees."""

from collections.abc import Callable

import numpy as np

from udass.streets.domain import Domain
from udass.streets.plan import Plan
from udass.streets.roadside import (
    BUILDING,
    TERRAIN,
    facade,
    fence,
    hedge,
    lamp_post,
    skyline,
    traffic_light,
    traffic_sign,
    tree,
    wall,
)
from udass.streets.surface import CLEAR, Brush, Canvas, Layer, Surface, Texture, flat, lengthwise, upright

FAR = 95.0  # metres; where streets end
Resolution = Callable[[float], float]  # distance in metres -> pixels per metre


def shadow(
    domain: Domain,
    draw: np.random.Generator,
    *,
    x: float,
    z: float,
    width: float,
    length: float,
    round_shape: bool,
    velocity: np.ndarray | None = None,
) -> Surface:
    """A dark area on the ground."""
    canvas = Canvas(width, length, 24 / max(width, length), (255, 255, 255))
    tone = 255 * float(draw.uniform(*domain.light.shadow))
    if round_shape:
        canvas.disc(0.0, length / 2, width / 2 - 0.05, length / 2 - 0.05, (tone, tone, tone), 0)
    else:
        canvas.rgb[:] = tone
        canvas.label[:] = 0
    texture = Texture(
        rgb=canvas.rgb, label=np.where(canvas.label == CLEAR, CLEAR, 0).astype(np.uint8), width=width, height=length
    )
    return flat(texture, x=x, z=z, layer=Layer.SHADOW, velocity=velocity)


def line_street(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution) -> list[Surface]:
    """Both sides of a street and its far end."""
    draw = brush.generator
    lit = float(draw.choice([-1.0, 1.0]))
    shade = float(draw.uniform(*domain.light.side_contrast))
    end = skyline(brush, domain, width=200.0, height=float(draw.uniform(12, 24)), scale=resolution(FAR + 15))
    surfaces = [upright(end, x=0.0, z=FAR + 15, layer=Layer.SKYLINE)]
    for side in (-1.0, 1.0):
        brightness = 1.0 if side == lit else shade
        surfaces += _sections(plan, domain, brush, resolution, side=side, brightness=brightness)
        surfaces += _furniture(plan, domain, brush, resolution, side=side)
    if draw.random() < domain.light.cast_share:
        reach = float(draw.uniform(0.2, 0.9)) * plan.road + plan.edge - plan.road
        surfaces.append(
            shadow(
                domain,
                draw,
                x=-lit * (plan.edge - reach / 2),
                z=FAR / 2 - 10,
                width=reach,
                length=FAR,
                round_shape=False,
            )
        )
    return surfaces


def _sections(
    plan: Plan, domain: Domain, brush: Brush, resolution: Resolution, *, side: float, brightness: float
) -> list[Surface]:
    draw, layout = brush.generator, domain.layout
    surfaces: list[Surface] = []
    z = -float(draw.uniform(4, 12))
    while z < FAR:
        length = float(draw.uniform(*layout.building_length))
        if plan.crossing and z + length > plan.crossing[0] - 1 and z < plan.crossing[1] + 1:
            length = plan.crossing[0] - 1 - z
            if length < 4:
                z = plan.crossing[1] + 1
                continue
        scale = min(resolution(max(z, 5.0)), 36.0)
        place = _Place(plan=plan, side=side, z=z, length=length, scale=scale, brightness=brightness)
        kind = int(draw.choice(4, p=layout.section_shares))
        surfaces += (_building, _park, _walled, _fenced)[kind](place, domain, brush)
        z += length + float(draw.choice([0.0, 0.0, 2.5]))
    return surfaces


class _Place:
    """One section of one side of the street; ``at`` turns a distance beyond the sidewalk into X."""

    def __init__(self, *, plan: Plan, side: float, z: float, length: float, scale: float, brightness: float) -> None:
        self.plan, self.side, self.z, self.length, self.scale, self.brightness = (
            plan,
            side,
            z,
            length,
            scale,
            brightness,
        )

    def at(self, beyond: float) -> float:
        return self.side * (self.plan.edge + beyond)


def _building(place: _Place, domain: Domain, brush: Brush, *, setback: float | None = None) -> list[Surface]:
    """A facade along the street and the end wall that faces the camera."""
    draw, layout, light = brush.generator, domain.layout, domain.light
    setback = float(draw.uniform(*layout.setback)) if setback is None else setback
    height, colour = float(draw.uniform(*layout.building_height)), brush.pick(domain.palette.facade)
    front = facade(
        brush, domain, width=place.length, height=height, colour=colour, scale=place.scale, brightness=place.brightness
    )
    surfaces = [lengthwise(front, x=place.at(setback), z=place.z, layer=Layer.BUILDING)]
    if place.z > 2.0:
        wall_end = facade(
            brush,
            domain,
            width=12.0,
            height=height,
            colour=colour,
            scale=min(place.scale, 10.0),
            brightness=float(draw.uniform(*light.facing)) * 0.9,
        )
        surfaces.append(upright(wall_end, x=place.at(setback + 6.0), z=place.z, layer=Layer.BUILDING))
    return surfaces


def _park(place: _Place, domain: Domain, brush: Brush) -> list[Surface]:
    """Trees and bushes on grass."""
    draw = brush.generator
    surfaces = []
    for z in draw.uniform(place.z, place.z + place.length, size=int(draw.integers(2, 5))):
        if z > 3.0:
            texture = tree(brush, domain, scale=min(place.scale, 24.0))
            surfaces.append(upright(texture, x=place.at(float(draw.uniform(2.0, 9.0))), z=float(z), layer=Layer.BEHIND))
    if draw.random() < 0.5:
        bushes = hedge(brush, domain, width=place.length, height=float(draw.uniform(1.0, 2.4)), scale=place.scale)
        surfaces.append(lengthwise(bushes, x=place.at(float(draw.uniform(0.5, 4.0))), z=place.z, layer=Layer.BEHIND))
    return surfaces


def _behind(place: _Place, domain: Domain, brush: Brush) -> list[Surface]:
    """A house or trees behind a wall or fence."""
    if brush.generator.random() < 0.5:
        return _building(place, domain, brush, setback=float(brush.generator.uniform(4.0, 7.0)))
    return _park(place, domain, brush)


def _walled(place: _Place, domain: Domain, brush: Brush) -> list[Surface]:
    height = float(brush.generator.uniform(1.5, 3.6))
    texture = wall(brush, domain, width=place.length, height=height, scale=place.scale, brightness=place.brightness)
    return [*_behind(place, domain, brush), lengthwise(texture, x=place.at(0.1), z=place.z, layer=Layer.BORDER)]


def _fenced(place: _Place, domain: Domain, brush: Brush) -> list[Surface]:
    height = float(brush.generator.uniform(1.2, 2.2))
    texture = fence(brush, domain, width=place.length, height=height, scale=place.scale, brightness=place.brightness)
    return [*_behind(place, domain, brush), lengthwise(texture, x=place.at(0.1), z=place.z, layer=Layer.BORDER)]


def _furniture(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution, *, side: float) -> list[Surface]:
    """Poles with lamps, lights and signs at the kerb, and street trees."""
    draw, layout = brush.generator, domain.layout
    surfaces = []
    z = float(draw.uniform(6.0, 6.0 + layout.pole_spacing[1]))
    while z < 70.0:
        kind, scale = float(draw.random()), resolution(z)
        if kind < layout.light_share:
            texture = traffic_light(brush, domain, scale=scale)
        elif kind < layout.light_share + layout.sign_share:
            texture = traffic_sign(brush, domain, scale=scale)
        else:
            texture = lamp_post(brush, domain, scale=scale)
        if not _inside(plan.crossing, z):
            surfaces.append(upright(texture, x=side * (plan.road + 0.6), z=z, mirrored=side > 0))
        z += float(draw.uniform(*layout.pole_spacing))
    for _ in range(int(draw.poisson(layout.tree_count / 2))):
        z = float(draw.uniform(9.0, 75.0))
        if _inside(plan.crossing, z):
            continue
        x = side * (plan.road + 0.3 + (plan.verge / 2 if plan.verge else min(1.2, plan.sidewalk * 0.7)))
        surfaces.append(upright(tree(brush, domain, scale=min(resolution(z), 28.0)), x=x, z=z))
        surfaces.append(shadow(domain, draw, x=x, z=z, width=5.0, length=4.0, round_shape=True))
    return surfaces


def _inside(span: tuple[float, float] | None, z: float) -> bool:
    return span is not None and span[0] - 1.0 < z < span[1] + 1.0


def crossing_street(plan: Plan, domain: Domain, brush: Brush) -> list[Surface]:
    """The roadway of the crossing street and zebra stripes before it."""
    if plan.crossing is None:
        return []
    palette, (start, end) = domain.palette, plan.crossing
    asphalt = brush.pick(palette.asphalt)
    street = Canvas(120.0, end - start, 8.0, asphalt)
    street.label[:] = 0
    street.box(-60.0, (end - start) / 2 - 0.1, 60.0, (end - start) / 2 + 0.1, brush.pick(palette.marking), 0)
    surfaces = [flat(street.finish(brush.rough, brush.generator), x=0.0, z=(start + end) / 2, layer=Layer.DECAL)]
    zebra = Canvas(2 * plan.road, 3.0, 24.0, asphalt)
    colour = brush.pick(palette.marking)
    for x in np.arange(-plan.road + 0.3, plan.road - 0.4, 1.1).tolist():
        zebra.box(x, 0.0, x + 0.55, 3.0, colour, 0)
    surfaces.append(flat(zebra.finish(brush.rough, brush.generator), x=0.0, z=start - 2.2, layer=Layer.DECAL, order=1))
    return surfaces


__all__ = ['BUILDING', 'TERRAIN', 'crossing_street', 'line_street', 'shadow']
