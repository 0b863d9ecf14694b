"""Textures of cars, trucks, buses and trains: the end that faces the camera and the side."""

from dataclasses import dataclass

import numpy as np

from udass.streets.domain import Domain
from udass.streets.surface import Brush, Canvas, Texture

CAR, TRUCK, BUS, TRAIN = 13, 14, 15, 16
_HEAD_LAMP, _TAIL_LAMP, _PLATE = (255, 250, 220), (225, 30, 25), (235, 235, 225)


@dataclass(frozen=True)
class Vehicle:
    """Both visible faces of a vehicle; ``side`` has its front at the right end."""

    end: Texture
    side: Texture
    length: float


def vehicle(brush: Brush, domain: Domain, *, kind: int, scale: float, away: bool) -> Vehicle:
    """A vehicle of class ``kind``; its rear if it drives ``away``, else its front."""
    draw, palette = brush.generator, domain.palette
    body = brush.pick(palette.vehicle if kind == CAR else palette.heavy)
    glass, tyre = brush.pick(palette.glass), brush.pick(palette.tyre)
    low, high, length = {
        CAR: (1.36, 1.75, 4.3),
        TRUCK: (2.9, 3.7, 7.5),
        BUS: (2.9, 3.4, 11.0),
        TRAIN: (3.3, 3.8, 24.0),
    }[kind]
    height = float(draw.uniform(low, high))
    length *= float(draw.uniform(0.9, 1.1))
    ends = {CAR: _car_end, TRUCK: _truck_end, BUS: _bus_end, TRAIN: _train_end}
    sides = {CAR: _car_side, TRUCK: _truck_side, BUS: _bus_side, TRAIN: _train_side}
    paint = _Paint(body=body, second=brush.pick(palette.heavy), glass=glass, tyre=tyre)
    width = 1.8 if kind == CAR else 2.5
    end = Canvas(width, height, scale, body)
    ends[kind](end, paint, away)
    end.shade(top=1.0, bottom=1 - domain.light.top_down)
    side = Canvas(length, height, scale, body)
    sides[kind](side, paint)
    facing = float(draw.uniform(*domain.light.side_contrast))
    side.shade(top=facing, bottom=facing * (1 - domain.light.top_down))
    return Vehicle(end=end.finish(brush.smooth, draw), side=side.finish(brush.smooth, draw), length=length)


@dataclass(frozen=True)
class _Paint:
    body: np.ndarray
    second: np.ndarray
    glass: np.ndarray
    tyre: np.ndarray


def _wheels(canvas: Canvas, paint: _Paint, *, centres: tuple[float, ...], radius: float, label: int) -> None:
    for x in centres:
        canvas.disc(x, radius, radius * 1.12, radius * 1.12, paint.tyre * 0.6, label)
        canvas.disc(x, radius, radius, radius, paint.tyre, label)
        canvas.disc(x, radius, radius * 0.58, radius * 0.58, (150, 152, 156), label)


def _feet(canvas: Canvas, paint: _Paint, *, half: float, radius: float, wide: float, label: int) -> None:
    for side in (-1, 1):
        outer, inner = side * half, side * (half - wide)
        canvas.box(min(outer, inner), 0.0, max(outer, inner), radius * 1.3, paint.tyre, label)


def _lamps(canvas: Canvas, *, y: float, x: float, width: float, height: float, away: bool, label: int) -> None:
    for side in (-1, 1):
        canvas.box(side * x - width / 2, y, side * x + width / 2, y + height, _TAIL_LAMP if away else _HEAD_LAMP, label)


def _car_end(canvas: Canvas, paint: _Paint, away: bool) -> None:
    top, belt = canvas.height, canvas.height * 0.6
    _feet(canvas, paint, half=0.82, radius=0.32, wide=0.24, label=CAR)
    canvas.polygon(
        [(-0.88, 0.24), (0.88, 0.24), (0.9, belt * 0.8), (0.84, belt), (-0.84, belt), (-0.9, belt * 0.8)],
        paint.body,
        CAR,
    )
    canvas.polygon([(-0.84, belt), (0.84, belt), (0.62, top), (-0.62, top)], paint.body * 0.95, CAR)
    canvas.polygon(
        [(-0.72, belt + 0.02), (0.72, belt + 0.02), (0.55, top - 0.09), (-0.55, top - 0.09)], paint.glass, CAR
    )
    canvas.polygon(
        [(-0.6, belt + 0.05), (-0.2, belt + 0.05), (0.1, top - 0.12), (-0.3, top - 0.12)], paint.glass * 1.35 + 12, CAR
    )
    canvas.box(-0.86, 0.2, 0.86, 0.4, paint.body * 0.45, CAR)
    _lamps(canvas, y=belt * 0.72, x=0.7, width=0.3, height=0.16, away=away, label=CAR)
    canvas.box(-0.26, 0.44, 0.26, 0.56, _PLATE, CAR)
    if not away:
        canvas.box(-0.45, 0.58, 0.45, belt * 0.8, paint.body * 0.3, CAR)


def _car_side(canvas: Canvas, paint: _Paint) -> None:
    half, top, belt = canvas.width / 2, canvas.height, canvas.height * 0.6
    canvas.polygon(
        [
            (-half + 0.05, 0.3),
            (-half, belt * 0.9),
            (-half + 0.1, belt),
            (half - 0.9, belt),
            (half - 0.1, belt * 0.85),
            (half, 0.5),
            (half - 0.05, 0.25),
            (-half + 0.1, 0.22),
        ],
        paint.body,
        CAR,
    )
    canvas.polygon([(-half + 0.12, belt), (-half + 0.5, top), (0.35, top), (half - 0.95, belt)], paint.body * 0.95, CAR)
    for left, right, low_left, low_right in (
        (-half + 0.55, -0.25, -half + 0.35, -0.25),
        (-0.12, 0.3, -0.12, half - 1.15),
    ):
        canvas.polygon(
            [(low_left, belt + 0.03), (left, top - 0.08), (right, top - 0.08), (low_right, belt + 0.03)],
            paint.glass,
            CAR,
        )
    canvas.box(-half + 0.1, 0.22, half - 0.1, 0.34, paint.body * 0.45, CAR)
    canvas.box(-half, belt * 0.72, -half + 0.16, belt * 0.9, _TAIL_LAMP, CAR)
    canvas.box(half - 0.22, belt * 0.68, half - 0.05, belt * 0.82, _HEAD_LAMP, CAR)
    _wheels(canvas, paint, centres=(-half * 0.62, half * 0.62), radius=0.33, label=CAR)


def _truck_end(canvas: Canvas, paint: _Paint, away: bool) -> None:
    top, half = canvas.height, 1.25
    _feet(canvas, paint, half=1.15, radius=0.5, wide=0.42, label=TRUCK)
    canvas.box(-1.1, 0.4, 1.1, 0.75, (55, 55, 58), TRUCK)
    if away:
        canvas.box(-half, 0.75, half, top, paint.body, TRUCK)
        for x in (-half, -0.03, half - 0.07):
            canvas.box(x, 0.75, x + 0.07, top, paint.body * 0.6, TRUCK)
        for y in (1.1, top - 0.5):
            canvas.box(-half, y, half, y + 0.06, paint.body * 0.7, TRUCK)
        canvas.box(-0.3, 0.5, 0.3, 0.65, _PLATE, TRUCK)
    else:
        canvas.box(-half, 1.6, half, top, paint.body * 0.85, TRUCK)
        canvas.polygon(
            [(-1.15, 0.5), (1.15, 0.5), (1.12, 2.4), (1.0, 2.7), (-1.0, 2.7), (-1.12, 2.4)], paint.second, TRUCK
        )
        canvas.polygon([(-1.02, 1.55), (1.02, 1.55), (0.95, 2.45), (-0.95, 2.45)], paint.glass, TRUCK)
        canvas.box(-0.75, 0.75, 0.75, 1.35, paint.second * 0.4, TRUCK)
    _lamps(canvas, y=0.5, x=0.98, width=0.3, height=0.18, away=away, label=TRUCK)


def _truck_side(canvas: Canvas, paint: _Paint) -> None:
    half, top = canvas.width / 2, canvas.height
    canvas.box(-half + 0.1, 0.5, half - 0.1, 0.85, (55, 55, 58), TRUCK)
    canvas.box(-half, 0.85, half - 2.1, top, paint.body, TRUCK)
    for x in np.arange(-half, half - 2.2, 0.9).tolist():
        canvas.box(x, 0.85, x + 0.06, top, paint.body * 0.8, TRUCK)
    canvas.polygon(
        [(half - 2.0, 0.45), (half, 0.45), (half, 1.5), (half - 0.3, 2.6), (half - 2.0, 2.7)], paint.second, TRUCK
    )
    canvas.polygon([(half - 1.3, 1.55), (half - 0.15, 1.55), (half - 0.45, 2.4), (half - 1.3, 2.4)], paint.glass, TRUCK)
    _wheels(canvas, paint, centres=(-half + 1.1, -half + 2.2, half - 1.1), radius=0.5, label=TRUCK)


def _bus_end(canvas: Canvas, paint: _Paint, away: bool) -> None:
    top, half = canvas.height, 1.25
    _feet(canvas, paint, half=1.15, radius=0.45, wide=0.35, label=BUS)
    canvas.box(-half, 0.32, half, top, paint.body, BUS)
    canvas.box(-1.12, 1.25, 1.12, top - 0.55, paint.glass, BUS)
    canvas.polygon([(-0.9, 1.3), (-0.3, 1.3), (0.3, top - 0.6), (-0.3, top - 0.6)], paint.glass * 1.3 + 12, BUS)
    canvas.box(-0.8, top - 0.45, 0.8, top - 0.14, (25, 25, 25), BUS)
    canvas.box(-0.6, top - 0.38, 0.5, top - 0.22, (250, 170, 40), BUS)
    canvas.box(-half, 0.32, half, 0.55, paint.body * 0.5, BUS)
    _lamps(canvas, y=0.75, x=0.95, width=0.34, height=0.24, away=away, label=BUS)


def _bus_side(canvas: Canvas, paint: _Paint) -> None:
    half, top = canvas.width / 2, canvas.height
    canvas.box(-half, 0.32, half, top, paint.body, BUS)
    canvas.box(-half, 0.32, half, 0.6, paint.body * 0.5, BUS)
    canvas.box(-half + 0.2, 1.35, half - 0.05, top - 0.5, paint.glass, BUS)
    for x in np.arange(-half + 1.5, half - 0.5, 1.45).tolist():
        canvas.box(x, 1.35, x + 0.12, top - 0.5, paint.body * 0.9, BUS)
    for x in (half - 1.4, -0.4):
        canvas.box(x, 0.4, x + 1.0, top - 0.55, paint.glass * 0.8, BUS)
    _wheels(canvas, paint, centres=(-half * 0.55, half * 0.5), radius=0.48, label=BUS)


def _train_end(canvas: Canvas, paint: _Paint, away: bool) -> None:
    top, half = canvas.height, 1.25
    canvas.box(-1.0, 0.05, 1.0, 0.4, (48, 48, 50), TRAIN)
    canvas.polygon(
        [(-half, 0.35), (half, 0.35), (half, top * 0.6), (0.98, top - 0.3), (-0.98, top - 0.3), (-half, top * 0.6)],
        paint.body,
        TRAIN,
    )
    canvas.polygon(
        [(-1.1, 1.4), (1.1, 1.4), (1.1, top * 0.6), (0.88, top - 0.75), (-0.88, top - 0.75), (-1.1, top * 0.6)],
        paint.glass,
        TRAIN,
    )
    canvas.box(-half, 0.85, half, 1.25, (245, 240, 225), TRAIN)
    canvas.box(-0.5, top - 0.68, 0.5, top - 0.42, (250, 170, 40), TRAIN)
    canvas.stroke([(-0.45, top - 0.3), (0.45, top - 0.02), (-0.45, top - 0.02)], 0.1, (60, 60, 62), TRAIN)
    _lamps(canvas, y=0.52, x=0.85, width=0.28, height=0.22, away=away, label=TRAIN)
    if not away:
        canvas.disc(0.0, top - 0.35, 0.13, 0.1, _HEAD_LAMP, TRAIN)


def _train_side(canvas: Canvas, paint: _Paint) -> None:
    half, top = canvas.width / 2, canvas.height
    canvas.box(-half, 0.35, half, top - 0.3, paint.body, TRAIN)
    canvas.box(-half, 0.85, half, 1.25, (245, 240, 225), TRAIN)
    canvas.box(-half + 0.3, 1.5, half - 0.3, top - 0.85, paint.glass, TRAIN)
    for x in np.arange(-half + 1.8, half - 1.0, 1.9).tolist():
        canvas.box(x, 1.5, x + 0.2, top - 0.85, paint.body, TRAIN)
    for x in np.arange(-half + 3.0, half - 2.0, 5.5).tolist():
        canvas.box(x, 0.45, x + 1.3, top - 0.7, paint.body * 0.65, TRAIN)
    canvas.box(-0.2, 0.3, 0.2, top - 0.3, (52, 52, 54), TRAIN)
    for x in (-half * 0.75, -half * 0.25, half * 0.25, half * 0.75):
        canvas.box(x - 1.1, 0.0, x + 1.1, 0.42, (48, 48, 50), TRAIN)
