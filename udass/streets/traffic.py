"""What moves in a street, and what is parked there: vehicles, riders and persons."""

import numpy as np

from udass.streets.borders import Resolution, shadow
from udass.streets.domain import Domain
from udass.streets.people import bicycle_side, motorcycle_side, person, two_wheeler_along
from udass.streets.plan import Plan
from udass.streets.surface import Brush, Layer, Surface, lengthwise, upright
from udass.streets.vehicles import BUS, CAR, TRAIN, TRUCK, vehicle

_REACH = 75.0  # metres; farther traffic is only a few pixels
_MOTORCYCLE, _BICYCLE = 4, 5  # positions in Layout.vehicle_shares after the four vehicle classes
_CLASSES = (CAR, TRUCK, BUS, TRAIN)


def fill_street(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution, *, camera_x: float) -> list[Surface]:
    """All traffic of a street."""
    surfaces = []
    for lane in range(plan.lanes):
        for side in (-1.0, 1.0):
            x = side * (lane + 0.5) * plan.lane_width
            surfaces += _lane(plan, domain, brush, resolution, x=x, away=side > 0, camera_x=camera_x)
    surfaces += _kerbs(plan, domain, brush, resolution, camera_x=camera_x)
    surfaces += _pedestrians(plan, domain, brush, resolution)
    return surfaces + _crossing_traffic(plan, domain, brush, resolution)


def _lane(
    plan: Plan, domain: Domain, brush: Brush, resolution: Resolution, *, x: float, away: bool, camera_x: float
) -> list[Surface]:
    draw, layout = brush.generator, domain.layout
    speed = float(draw.uniform(*layout.speed)) * (1.0 if away else -1.0) * float(draw.random() > 0.2)
    z = float(draw.uniform(9.0, 9.0 + layout.traffic_gap[1]))
    surfaces: list[Surface] = []
    while z < _REACH:
        kind = int(draw.choice(6, p=layout.vehicle_shares))
        shift, velocity = float(draw.uniform(-0.25, 0.25)), np.array([0, 0, speed * float(draw.uniform(0.85, 1.15))])
        if kind in (_MOTORCYCLE, _BICYCLE):
            if kind == _BICYCLE:
                shift = np.sign(x) * (plan.lane_width / 2 - 0.7)
            surfaces += _two_wheeler(
                domain,
                brush,
                x=x + shift,
                z=z,
                scale=resolution(z),
                motorcycle=kind == _MOTORCYCLE,
                away=away,
                velocity=velocity,
            )
            length = 2.0
        else:
            pieces, length = _box(
                domain,
                brush,
                kind=_CLASSES[kind],
                x=x + shift,
                z=z,
                scale=resolution(z),
                away=away,
                camera_x=camera_x,
                velocity=velocity,
            )
            surfaces += pieces
        z += length + float(draw.uniform(*layout.traffic_gap))
    return surfaces


def _box(
    domain: Domain,
    brush: Brush,
    *,
    kind: int,
    x: float,
    z: float,
    scale: float,
    away: bool,
    camera_x: float,
    velocity: np.ndarray,
) -> tuple[list[Surface], float]:
    """A vehicle along the street: the end that faces the camera, the visible side, the shadow below; and its length."""
    body = vehicle(brush, domain, kind=kind, scale=scale, away=away)
    half = body.end.width / 2
    pieces = [
        shadow(
            domain,
            brush.generator,
            x=x,
            z=z + body.length / 2,
            width=2 * half + 0.7,
            length=body.length + 0.8,
            round_shape=False,
            velocity=velocity,
        )
    ]
    side = -1.0 if x > camera_x else 1.0
    if abs(x - camera_x) > half:
        pieces.append(
            lengthwise(body.side, x=x + side * half, z=z, layer=Layer.STREET, mirrored=not away, velocity=velocity)
        )
    pieces.append(upright(body.end, x=x, z=z, order=1, velocity=velocity))
    return pieces, body.length


def _two_wheeler(
    domain: Domain,
    brush: Brush,
    *,
    x: float,
    z: float,
    scale: float,
    motorcycle: bool,
    away: bool,
    velocity: np.ndarray,
) -> list[Surface]:
    texture = two_wheeler_along(brush, domain, scale=scale, motorcycle=motorcycle, away=away)
    return [
        shadow(domain, brush.generator, x=x, z=z + 0.7, width=0.8, length=1.8, round_shape=True, velocity=velocity),
        upright(texture, x=x, z=z, velocity=velocity),
    ]


def _kerbs(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution, *, camera_x: float) -> list[Surface]:
    """Parked cars at the kerb; parked bicycles and motorcycles on the sidewalk."""
    draw, layout, still = brush.generator, domain.layout, np.zeros(3)
    surfaces: list[Surface] = []
    for side in (-1.0, 1.0):
        z = float(draw.uniform(6.5, 6.5 + 2 * layout.parked_gap[1]))
        while plan.parking and z < _REACH:
            if not (plan.crossing and plan.crossing[0] - 7 < z < plan.crossing[1] + 1):
                kind = CAR if draw.random() < 0.95 else TRUCK
                surfaces += _box(
                    domain,
                    brush,
                    kind=kind,
                    x=side * (plan.road - 1.1),
                    z=z,
                    scale=resolution(z),
                    away=side > 0,
                    camera_x=camera_x,
                    velocity=still,
                )[0]
            z += float(draw.uniform(*layout.parked_gap))
    for build, mean in ((bicycle_side, layout.parked_bicycle_count), (motorcycle_side, layout.parked_motorcycle_count)):
        for _ in range(int(draw.poisson(mean))):
            side, z = float(draw.choice([-1.0, 1.0])), float(draw.uniform(7.0, 22.0))
            x = side * (plan.edge - float(draw.uniform(0.9, max(plan.sidewalk - 0.2, 1.0))))
            texture = build(brush, domain, scale=resolution(z), ridden=False)
            surfaces.append(upright(texture, x=x, z=z, mirrored=bool(draw.random() < 0.5)))
    return surfaces


def _pedestrians(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution) -> list[Surface]:
    draw, layout = brush.generator, domain.layout
    surfaces: list[Surface] = []
    for _ in range(int(draw.poisson(layout.person_count))):
        side, z = (
            float(draw.choice([-1.0, 1.0])),
            float(draw.uniform(6.5, 45.0) if draw.random() < 0.5 else draw.uniform(6.5, 20.0)),
        )
        x = side * (plan.road + 0.6 + plan.verge + float(draw.uniform(0, 1)) * max(plan.sidewalk - 1.0, 0.2))
        velocity = np.array([0, 0, float(draw.choice([-1.3, 0.0, 1.3]))])
        surfaces.append(upright(person(brush, domain, scale=resolution(z)), x=x, z=z, velocity=velocity))
    for _ in range(int(draw.poisson(layout.crossing_person_count))):
        z = plan.crossing[0] - float(draw.uniform(1.2, 3.2)) if plan.crossing else float(draw.uniform(9.0, 35.0))
        velocity = np.array([float(draw.choice([-1.3, 1.3])), 0, 0])
        texture = person(brush, domain, scale=resolution(z))
        surfaces.append(upright(texture, x=float(draw.uniform(-plan.road, plan.road)), z=z, velocity=velocity))
    for surface in list(surfaces):
        surfaces.append(
            shadow(
                domain,
                draw,
                x=surface.corner[0] + 0.47,
                z=surface.anchor,
                width=0.7,
                length=0.5,
                round_shape=True,
                velocity=surface.velocity,
            )
        )
    return surfaces


def _crossing_traffic(plan: Plan, domain: Domain, brush: Brush, resolution: Resolution) -> list[Surface]:
    """Vehicles and riders seen from the side, in the crossing street; riders cross anywhere now and then."""
    draw, layout = brush.generator, domain.layout
    surfaces: list[Surface] = []
    if plan.crossing is None:
        if draw.random() < 0.3:
            z = float(draw.uniform(9.0, 24.0))
            surfaces += _sideways_rider(
                domain,
                brush,
                x=float(draw.uniform(-plan.road, plan.road)),
                z=z,
                scale=resolution(z),
                motorcycle=bool(draw.random() < 0.45),
            )
        return surfaces
    start, end = plan.crossing
    for z, direction in ((start + 0.3 * (end - start), 1.0), (start + 0.75 * (end - start), -1.0)):
        x = float(draw.uniform(-plan.edge, plan.edge * 0.2))
        while x < plan.edge:
            kind = int(draw.choice(6, p=layout.vehicle_shares))
            if kind in (_MOTORCYCLE, _BICYCLE):
                surfaces += _sideways_rider(
                    domain, brush, x=x, z=z, scale=resolution(z), motorcycle=kind == _MOTORCYCLE
                )
                length = 2.0
            else:
                body = vehicle(brush, domain, kind=_CLASSES[kind], scale=resolution(z), away=True)
                velocity = np.array([direction * float(draw.uniform(3, 9)), 0, 0])
                surfaces.append(
                    shadow(
                        domain,
                        draw,
                        x=x,
                        z=z + 0.8,
                        width=body.length + 0.5,
                        length=2.2,
                        round_shape=False,
                        velocity=velocity,
                    )
                )
                surfaces.append(upright(body.side, x=x, z=z, mirrored=direction < 0, velocity=velocity))
                length = body.length
            x += length + float(draw.uniform(6.0, 25.0))
    return surfaces


def _sideways_rider(
    domain: Domain, brush: Brush, *, x: float, z: float, scale: float, motorcycle: bool
) -> list[Surface]:
    direction = float(brush.generator.choice([-1.0, 1.0]))
    velocity = np.array([direction * float(brush.generator.uniform(3.0, 7.0)), 0, 0])
    texture = (motorcycle_side if motorcycle else bicycle_side)(brush, domain, scale=scale, ridden=True)
    return [
        shadow(domain, brush.generator, x=x, z=z, width=1.8, length=0.6, round_shape=True, velocity=velocity),
        upright(texture, x=x, z=z, mirrored=direction < 0, velocity=velocity),
    ]
