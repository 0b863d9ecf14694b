"""Textures of persons, and of bicycles and motorcycles with and without their riders."""

import numpy as np

from udass.streets.domain import Domain
from udass.streets.surface import Brush, Canvas, Texture

PERSON, RIDER, MOTORCYCLE, BICYCLE = 11, 12, 17, 18


def person(brush: Brush, domain: Domain, *, scale: float) -> Texture:
    """A standing or walking person, 1.5 to 1.95 m tall."""
    draw, palette = brush.generator, domain.palette
    height = float(draw.uniform(1.5, 1.95))
    canvas = Canvas(0.95, height, scale, brush.pick(palette.clothes))
    coat, trousers, skin = (
        brush.pick(palette.clothes),
        brush.pick(palette.clothes, brightness=0.8),
        brush.pick(palette.skin),
    )
    stride, unit = float(draw.uniform(0.03, 0.26)), height / 1.75
    hip, neck = 0.86 * unit, 1.46 * unit
    _limbs(canvas, brush, hip=hip, neck=neck, stride=stride, coat=coat, trousers=trousers, skin=skin)
    coat_length = float(draw.choice([0.0, 0.0, 0.3]))
    canvas.polygon(
        [
            (-0.23, neck - 0.03),
            (-0.1, neck + 0.03),
            (0.1, neck + 0.03),
            (0.23, neck - 0.03),
            (0.19, hip - 0.05 - coat_length),
            (-0.19, hip - 0.05 - coat_length),
        ],
        coat,
        PERSON,
    )
    if draw.random() < 0.25:
        canvas.box(-0.15, hip + 0.12, 0.15, neck - 0.08, brush.pick(palette.clothes), PERSON)
    _head(
        canvas,
        x=0.0,
        y=neck + 0.14 * unit,
        skin=skin,
        hair=brush.pick(((50, 36, 28), (30, 26, 24), (130, 96, 60))),
        label=PERSON,
    )
    canvas.shade(top=1.0, bottom=1 - domain.light.top_down)
    return canvas.finish(brush.smooth, draw)


def _limbs(
    canvas: Canvas,
    brush: Brush,
    *,
    hip: float,
    neck: float,
    stride: float,
    coat: np.ndarray,
    trousers: np.ndarray,
    skin: np.ndarray,
) -> None:
    """Legs, shoes, arms and hands of a person on foot."""
    for side in (-1, 1):
        canvas.polygon(
            [(side * 0.02, hip), (side * 0.19, hip), (side * (0.1 + stride), 0.0), (side * stride - side * 0.02, 0.0)],
            trousers,
            PERSON,
        )
        canvas.box(
            side * stride - 0.07 + side * 0.03, 0.0, side * stride + 0.09 + side * 0.03, 0.07, (35, 30, 30), PERSON
        )
        swing = float(brush.generator.uniform(0.02, 0.12))
        canvas.polygon(
            [
                (side * 0.16, neck - 0.02),
                (side * 0.25, neck - 0.06),
                (side * (0.29 + swing), hip - 0.05),
                (side * (0.2 + swing), hip - 0.07),
            ],
            coat * 0.85,
            PERSON,
        )
        canvas.disc(side * (0.25 + swing), hip - 0.08, 0.05, 0.06, skin, PERSON)


def _head(canvas: Canvas, *, x: float, y: float, skin: np.ndarray, hair: np.ndarray, label: int) -> None:
    canvas.box(x - 0.05, y - 0.16, x + 0.05, y - 0.05, skin * 0.85, label)
    canvas.disc(x, y, 0.11, 0.145, hair, label)
    canvas.disc(x, y - 0.03, 0.09, 0.1, skin, label)


def _wheel(canvas: Canvas, x: float, radius: float, *, tyre: np.ndarray, inside: np.ndarray, label: int) -> None:
    canvas.disc(x, radius, radius, radius, tyre, label)
    canvas.disc(x, radius, radius * 0.78, radius * 0.78, inside, label)
    canvas.disc(x, radius, radius * 0.16, radius * 0.16, tyre, label)


def _seated(canvas: Canvas, brush: Brush, domain: Domain, *, seat: float, foot: float) -> None:
    """A rider seen from the side, facing right, hip at (-0.2, seat)."""
    palette = domain.palette
    coat, trousers, skin = (
        brush.pick(palette.clothes),
        brush.pick(palette.clothes, brightness=0.8),
        brush.pick(palette.skin),
    )
    helmet = brush.pick(palette.vehicle)
    canvas.polygon(
        [
            (-0.34, seat),
            (-0.14, seat - 0.06),
            (0.18, seat - 0.06),
            (0.2, seat - 0.2),
            (0.14, foot),
            (0.0, foot),
            (0.03, seat - 0.22),
            (-0.3, seat - 0.16),
        ],
        trousers,
        RIDER,
    )
    canvas.box(-0.02, foot - 0.04, 0.22, foot + 0.05, (35, 30, 30), RIDER)
    canvas.polygon(
        [(-0.36, seat - 0.05), (-0.1, seat - 0.05), (0.16, seat + 0.5), (0.0, seat + 0.62), (-0.16, seat + 0.55)],
        coat,
        RIDER,
    )
    canvas.polygon(
        [(0.0, seat + 0.52), (0.12, seat + 0.46), (0.5, seat + 0.22), (0.46, seat + 0.12)], coat * 0.82, RIDER
    )
    _head(canvas, x=0.12, y=seat + 0.76, skin=skin, hair=helmet, label=RIDER)


def bicycle_side(brush: Brush, domain: Domain, *, scale: float, ridden: bool) -> Texture:
    """A bicycle seen from the side, facing right."""
    draw, palette = brush.generator, domain.palette
    canvas = Canvas(1.8, 1.95 if ridden else 1.1, scale, brush.pick(palette.vehicle))
    frame, tyre = brush.pick(palette.vehicle), brush.pick(palette.tyre)
    for x in (-0.53, 0.53):
        _wheel(canvas, x, 0.35, tyre=tyre, inside=brush.pick(palette.asphalt, brightness=1.15), label=BICYCLE)
    for points in (
        [(-0.53, 0.35), (0.0, 0.35), (0.4, 0.82), (-0.18, 0.82), (-0.53, 0.35)],
        [(0.0, 0.35), (-0.22, 0.95)],
        [(0.53, 0.35), (0.38, 1.02), (0.5, 1.05)],
    ):
        canvas.stroke(points, 0.07, frame, BICYCLE)
    canvas.stroke([(-0.36, 0.97), (-0.08, 0.97)], 0.09, tyre, BICYCLE)
    if ridden:
        _seated(canvas, brush, domain, seat=1.0, foot=0.25)
    return canvas.finish(brush.smooth, draw)


def motorcycle_side(brush: Brush, domain: Domain, *, scale: float, ridden: bool) -> Texture:
    """A motorcycle seen from the side, facing right."""
    draw, palette = brush.generator, domain.palette
    body, tyre = brush.pick(palette.vehicle), brush.pick(palette.tyre)
    canvas = Canvas(2.3, 1.75 if ridden else 1.2, scale, body)
    for x in (-0.72, 0.72):
        _wheel(canvas, x, 0.34, tyre=tyre, inside=np.array((110.0, 112, 116)), label=MOTORCYCLE)
    canvas.polygon([(-0.5, 0.25), (0.35, 0.25), (0.45, 0.6), (-0.2, 0.68)], np.array((92.0, 94, 98)), MOTORCYCLE)
    canvas.polygon(
        [(-0.98, 0.86), (-0.9, 0.68), (0.3, 0.52), (0.62, 0.82), (0.36, 1.0), (0.02, 0.95), (-0.1, 0.78)],
        body,
        MOTORCYCLE,
    )
    canvas.polygon([(-0.9, 0.86), (-0.1, 0.76), (0.0, 0.86), (-0.6, 0.92)], tyre, MOTORCYCLE)
    canvas.stroke([(0.72, 0.34), (0.48, 0.95), (0.36, 1.12)], 0.09, tyre, MOTORCYCLE)
    canvas.disc(0.62, 0.86, 0.1, 0.1, (250, 245, 215), MOTORCYCLE)
    canvas.stroke([(-1.0, 0.3), (-0.1, 0.3)], 0.09, (150, 150, 152), MOTORCYCLE)
    if ridden:
        _seated(canvas, brush, domain, seat=0.86, foot=0.26)
    return canvas.finish(brush.smooth, draw)


def two_wheeler_along(brush: Brush, domain: Domain, *, scale: float, motorcycle: bool, away: bool) -> Texture:
    """A ridden bicycle or motorcycle seen from behind (``away``) or from the front."""
    draw, palette = brush.generator, domain.palette
    label = MOTORCYCLE if motorcycle else BICYCLE
    body, tyre = brush.pick(palette.vehicle), brush.pick(palette.tyre)
    coat, trousers, skin = (
        brush.pick(palette.clothes),
        brush.pick(palette.clothes, brightness=0.8),
        brush.pick(palette.skin),
    )
    canvas = Canvas(1.0, 1.85, scale, body)
    wide, seat = (0.11, 0.8) if motorcycle else (0.06, 0.95)
    canvas.box(-wide, 0.0, wide, 0.7, tyre, label)
    if motorcycle:
        canvas.polygon([(-0.24, 0.5), (0.24, 0.5), (0.2, 0.95), (-0.2, 0.95)], body, label)
    else:
        canvas.box(-0.05, 0.5, 0.05, 0.95, body, label)
    canvas.stroke([(-0.42, 1.08), (0.42, 1.08)], 0.07, tyre, label)
    for side in (-1, 1):
        canvas.polygon(
            [
                (side * 0.05, seat + 0.04),
                (side * 0.2, seat + 0.04),
                (side * 0.3, 0.55),
                (side * 0.22, 0.25),
                (side * 0.13, 0.25),
            ],
            trousers,
            RIDER,
        )
        canvas.box(side * 0.19 - 0.06, 0.2, side * 0.19 + 0.06, 0.3, (35, 30, 30), RIDER)
        canvas.polygon(
            [
                (side * 0.15, seat + 0.6),
                (side * 0.24, seat + 0.52),
                (side * 0.42, seat + 0.18),
                (side * 0.32, seat + 0.12),
            ],
            coat * 0.85,
            RIDER,
        )
    canvas.polygon([(-0.24, seat + 0.58), (0.24, seat + 0.58), (0.19, seat), (-0.19, seat)], coat, RIDER)
    _head(canvas, x=0.0, y=seat + 0.75, skin=skin, hair=brush.pick(palette.vehicle), label=RIDER)
    lamp_y = 0.72 if motorcycle else 0.6
    canvas.disc(0.0, lamp_y, 0.08, 0.07, (220, 30, 30) if away else (255, 250, 220), label)
    canvas.shade(top=1.0, bottom=1 - domain.light.top_down)
    return canvas.finish(brush.smooth, draw)
