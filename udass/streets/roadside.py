"""Textures of what stands beside the road: facades, walls, fences, poles with lights and signs, plants, the skyline."""

import numpy as np

from udass.streets.domain import Domain
from udass.streets.surface import Brush, Canvas, Texture

BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN = 2, 3, 4, 5, 6, 7, 8, 9


def facade(
    brush: Brush, domain: Domain, *, width: float, height: float, colour: np.ndarray, scale: float, brightness: float
) -> Texture:
    """A house front with floors of windows, a shop or a plinth at its foot and a cornice or roof at its head."""
    draw, palette = brush.generator, domain.palette
    colour = colour * brightness
    canvas = Canvas(width, height, scale, colour)
    canvas.label[:] = BUILDING
    canvas.shade(top=1.0, bottom=1 - 0.5 * domain.light.top_down)
    if draw.random() < domain.surfaces.brick_share:
        _courses(canvas, spacing=float(draw.uniform(0.25, 0.5)), factor=0.86)
    window, frame = brush.pick(palette.window) * brightness, brush.pick(palette.frame) * brightness
    floor = float(draw.uniform(2.8, 3.6))
    pitch = float(draw.uniform(1.7, 3.2))
    open_width, open_height = pitch * float(draw.uniform(0.42, 0.7)), floor * float(draw.uniform(0.42, 0.6))
    roof = float(draw.uniform(0.3, 2.4)) if draw.random() < 0.6 else 0.3
    sky = brush.pick(palette.sky_horizon) * brightness * 0.85
    columns = max(int((width - 0.6) / pitch), 1)
    left = -columns * pitch / 2 + (pitch - open_width) / 2
    for level in range(1, int((height - roof) / floor)):
        bottom = level * floor + 0.3 * floor
        glow = draw.random(columns) < domain.light.window_glow
        for column in range(columns):
            x = left + column * pitch
            if scale > 12:  # else a frame is less than a pixel
                canvas.box(x - 0.1, bottom - 0.12, x + open_width + 0.1, bottom + open_height + 0.1, frame, BUILDING)
            canvas.box(x, bottom, x + open_width, bottom + open_height, sky if glow[column] else window, BUILDING)
    _ground_floor(canvas, brush, domain, window=window, frame=frame, brightness=brightness)
    canvas.box(-width / 2, height - roof, width / 2, height, brush.pick(palette.roof) * brightness, BUILDING)
    return canvas.finish(brush.rough, draw)


def _courses(canvas: Canvas, *, spacing: float, factor: float) -> None:
    """Joints of a brick wall or of large stones."""
    rows = np.unique((np.arange(0, canvas.height, spacing) * canvas.rows / canvas.height).astype(int))
    canvas.rgb[rows] = canvas.rgb[rows] * factor


def _ground_floor(
    canvas: Canvas, brush: Brush, domain: Domain, *, window: np.ndarray, frame: np.ndarray, brightness: float
) -> None:
    draw, half = brush.generator, canvas.width / 2
    if draw.random() < 0.5:
        sign = brush.pick(domain.palette.heavy) * brightness
        canvas.box(-half + 0.4, 2.6, half - 0.4, 3.1, sign, BUILDING)
        for x in np.arange(-half + 0.6, half - 2.4, 3.2).tolist():
            canvas.box(x, 0.4, x + 2.4, 2.5, window * 0.9, BUILDING)
    else:
        canvas.box(-half, 0.0, half, 0.8, frame * 0.6, BUILDING)
        for x in np.arange(-half + 1.0, half - 1.4, 3.0).tolist():
            canvas.box(x, 1.1, x + 1.2, 2.4, window, BUILDING)
    door = float(draw.uniform(-half * 0.7, half * 0.7))
    canvas.box(door, 0.0, door + 1.1, 2.3, brush.pick(domain.palette.fence) * brightness, BUILDING)


def wall(brush: Brush, domain: Domain, *, width: float, height: float, scale: float, brightness: float) -> Texture:
    """A free-standing wall of blocks with a cap."""
    colour = brush.pick(domain.palette.wall, brightness=brightness)
    canvas = Canvas(width, height, scale, colour)
    canvas.label[:] = WALL
    _courses(canvas, spacing=0.4, factor=0.84)
    for x in np.arange(-width / 2, width / 2, 2.5).tolist():
        canvas.box(x, 0.0, x + 0.3, height, colour * 0.88, WALL)
    canvas.box(-width / 2, height - 0.18, width / 2, height, np.minimum(colour * 1.2, 255), WALL)
    canvas.shade(top=1.0, bottom=1 - domain.light.top_down)
    return canvas.finish(brush.rough, brush.generator)


def fence(brush: Brush, domain: Domain, *, width: float, height: float, scale: float, brightness: float) -> Texture:
    """A fence of boards or bars, posts and two rails; its dark gaps belong to it, as in street data sets."""
    draw = brush.generator
    colour = brush.pick(domain.palette.fence, brightness=brightness)
    canvas = Canvas(width, height, scale, colour * 0.4)
    step = float(draw.uniform(0.28, 0.45))
    board = step * float(draw.uniform(0.5, 0.75))
    canvas.box(-width / 2, 0.0, width / 2, height - 0.2, colour * 0.42, FENCE)
    for x in np.arange(-width / 2, width / 2, step).tolist():
        canvas.box(x, 0.02, x + board, height - 0.12, colour, FENCE)
    for y in (0.25 * height, 0.8 * height):
        canvas.box(-width / 2, y, width / 2, y + 0.12, colour * 0.8, FENCE)
    for x in np.arange(-width / 2, width / 2, 2.4).tolist():
        canvas.box(x, 0.0, x + 0.22, height, colour * 1.1, FENCE)
    return canvas.finish(brush.smooth, draw)


def lamp_post(brush: Brush, domain: Domain, *, scale: float) -> Texture:
    """A street lamp, 5 to 8 m, or a plain post."""
    draw = brush.generator
    height, thick = float(draw.uniform(5.0, 8.0)), float(draw.uniform(0.16, 0.26))
    colour = brush.pick(domain.palette.pole)
    canvas = Canvas(3.0, height, scale, colour)
    canvas.box(-thick / 2, 0.0, thick / 2, height - 0.1, colour, POLE)
    canvas.box(-thick, 0.0, thick, 0.7, colour * 0.85, POLE)
    side = float(draw.choice([-1.0, 1.0]))
    if draw.random() < 0.7:
        canvas.stroke([(0.0, height - 0.2), (side * 1.2, height - 0.12)], thick * 0.8, colour, POLE)
        canvas.box(
            min(side * 0.8, side * 1.4),
            height - 0.25,
            max(side * 0.8, side * 1.4),
            height - 0.05,
            colour * 0.8 + 40,
            POLE,
        )
    return canvas.finish(brush.smooth, draw)


def traffic_light(brush: Brush, domain: Domain, *, scale: float) -> Texture:
    """A pole with a box of three lamps, one of them lit."""
    draw = brush.generator
    height, colour = float(draw.uniform(3.2, 4.2)), brush.pick(domain.palette.pole)
    canvas = Canvas(1.2, height, scale, colour)
    canvas.box(-0.09, 0.0, 0.09, height - 1.2, colour, POLE)
    canvas.box(-0.27, height - 1.35, 0.27, height, (28, 28, 30), LIGHT)
    lit = int(draw.choice([0, 1, 2], p=[0.5, 0.1, 0.4]))
    for slot, lamp in enumerate(((255, 50, 40), (255, 190, 40), (60, 240, 120))):
        canvas.disc(0.0, height - 0.26 - 0.42 * slot, 0.17, 0.17, lamp if slot == lit else (62, 60, 60), LIGHT)
    return canvas.finish(brush.smooth, draw)


def traffic_sign(brush: Brush, domain: Domain, *, scale: float) -> Texture:
    """A pole with one sign: round, triangular, square or a board."""
    draw, kind = brush.generator, int(brush.generator.integers(4))
    height, colour, size = (
        float(draw.uniform(2.6, 3.4)),
        brush.pick(domain.palette.pole),
        float(draw.uniform(0.38, 0.52)),
    )
    muted = 1.0 if domain.light.top_down < 0.15 else 0.82
    red, blue, white = (
        np.array((220.0, 30, 35)) * muted,
        np.array((25.0, 80, 200)) * muted,
        np.array((245.0, 245, 240)) * muted,
    )
    canvas = Canvas(1.7, height, scale, white)
    canvas.box(-0.07, 0.0, 0.07, height - size, colour, POLE)
    y = height - size - 0.02
    if kind == 0:
        canvas.disc(0.0, y, size, size, red, SIGN)
        canvas.disc(0.0, y, size * 0.68, size * 0.68, white, SIGN)
    elif kind == 1:
        canvas.polygon([(-size, y - size * 0.8), (size, y - size * 0.8), (0.0, y + size)], red, SIGN)
        canvas.polygon(
            [(-size * 0.55, y - size * 0.52), (size * 0.55, y - size * 0.52), (0.0, y + size * 0.45)], white, SIGN
        )
    elif kind == 2:
        canvas.box(-size, y - size, size, y + size, blue, SIGN)
        canvas.polygon(
            [(-size * 0.6, y - size * 0.5), (size * 0.6, y - size * 0.5), (0.0, y + size * 0.6)], white, SIGN
        )
    else:
        canvas.box(-0.8, y - size * 0.6, 0.8, y + size * 0.6, blue, SIGN)
        canvas.box(-0.6, y - 0.08, 0.6, y + 0.04, white, SIGN)
    return canvas.finish(brush.smooth, draw)


def tree(brush: Brush, domain: Domain, *, scale: float) -> Texture:
    """A trunk and a crown of many leaf clusters, darker below."""
    draw = brush.generator
    height = float(draw.uniform(4.5, 9.5))
    crown, trunk = height * float(draw.uniform(0.3, 0.42)), brush.pick(domain.palette.trunk)
    leaves = brush.pick(domain.palette.leaves)
    canvas = Canvas(crown * 2.2, height, scale, leaves * 0.75)
    canvas.polygon([(-0.2, 0.0), (0.2, 0.0), (0.12, height * 0.6), (-0.12, height * 0.6)], trunk, VEGETATION)
    blobs = domain.surfaces.crown_blobs if scale > 16 else domain.surfaces.crown_blobs // 2
    _foliage(canvas, brush, blobs, leaves=leaves, middle=height - crown * 1.05, radius_x=crown, radius_y=crown)
    return canvas.finish(brush.leafy, draw)


def hedge(brush: Brush, domain: Domain, *, width: float, height: float, scale: float) -> Texture:
    """A row of bushes."""
    draw, leaves = brush.generator, brush.pick(domain.palette.leaves)
    canvas = Canvas(width, height, scale, leaves * 0.75)
    canvas.box(-width / 2 + 0.1, 0.0, width / 2 - 0.1, height * 0.6, leaves * 0.75, VEGETATION)
    count = max(int(width / height * 4), 5)
    for x in draw.uniform(-width / 2 + 0.3 * height, width / 2 - 0.3 * height, size=count):
        radius = height * float(draw.uniform(0.2, 0.34))
        y = float(draw.uniform(0.3, 0.98)) * height - radius
        canvas.disc(float(x), max(y, 0.1), radius * 1.2, radius, leaves * float(draw.uniform(0.72, 1.22)), VEGETATION)
    canvas.shade(top=1.0, bottom=0.75)
    return canvas.finish(brush.leafy, draw)


def _foliage(
    canvas: Canvas, brush: Brush, count: int, *, leaves: np.ndarray, middle: float, radius_x: float, radius_y: float
) -> None:
    draw = brush.generator
    canvas.disc(0.0, middle, radius_x * 0.72, radius_y * 0.72, leaves * 0.78, VEGETATION)
    angle, reach = draw.uniform(0, 2 * np.pi, size=count), np.sqrt(draw.uniform(0, 1, size=count)) * 0.7
    xs, ys = radius_x * reach * np.cos(angle), radius_y * reach * np.sin(angle)
    for index in np.argsort(ys):
        tone = 0.92 + 0.28 * ys[index] / radius_y + 0.1 * float(draw.standard_normal())
        radius = radius_x * float(draw.uniform(0.2, 0.36))
        canvas.disc(float(xs[index]), middle + float(ys[index]), radius, radius * 0.85, leaves * tone, VEGETATION)


def skyline(brush: Brush, domain: Domain, *, width: float, height: float, scale: float) -> Texture:
    """Distant houses and trees that close the street."""
    draw, palette = brush.generator, domain.palette
    canvas = Canvas(width, height, scale, brush.pick(palette.facade))
    x = -width / 2
    while x < width / 2:
        step = float(draw.uniform(8, 22))
        if draw.random() < 0.55:
            top, colour = height * float(draw.uniform(0.35, 0.95)), brush.pick(palette.facade)
            canvas.box(x, 0.0, x + step, top, colour, BUILDING)
            for y in np.arange(2.0, top - 2.0, 3.2).tolist():
                canvas.box(
                    x + 1.0, y, x + step - 1.0, y + 1.4, brush.pick(palette.window) * 0.5 + colour * 0.5, BUILDING
                )
        else:
            colour = brush.pick(palette.leaves)
            canvas.box(x, 0.0, x + step, height * 0.25, colour * 0.9, VEGETATION)
            for centre in draw.uniform(x, x + step, size=5):
                canvas.disc(
                    float(centre),
                    height * 0.24,
                    step * 0.22,
                    height * float(draw.uniform(0.08, 0.22)),
                    colour * float(draw.uniform(0.8, 1.1)),
                    VEGETATION,
                )
        x += step
    return canvas.finish(brush.rough, draw)
