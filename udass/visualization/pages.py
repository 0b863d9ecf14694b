"""Lay out sections of tiles as one image or as one HTML page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

from udass.visualization.canvas import Tile, blank, resize, stack, tile_row, write_text

_TILE_WIDTH, _COLUMNS = 260, 6
PAGE_WIDTH = _COLUMNS * (_TILE_WIDTH + 6) + 6


@dataclass(frozen=True)
class Section:
    """Groups of tiles under a title, e.g. one group per sample with its frames and its label."""

    title: str
    note: str
    groups: Sequence[Sequence[Tile]]


def draw_page(sections: Sequence[Section], legends: Sequence[np.ndarray] = ()) -> np.ndarray:
    """All sections below each other as one RGB image; a group stays on one line where it fits. Legends, images of
    `PAGE_WIDTH`, end the page."""
    parts = []
    for section in sections:
        heading = write_text(blank(54, PAGE_WIDTH), section.title, (6, 8), 20)
        parts.append(write_text(heading, section.note, (6, 34), 13))
        line: list[Tile] = []
        for group in section.groups:
            if len(line) + len(group) > _COLUMNS and line:
                parts.append(tile_row(line, _TILE_WIDTH))
                line = []
            line += group
            while len(line) > _COLUMNS:
                parts.append(tile_row(line[:_COLUMNS], _TILE_WIDTH))
                line = line[_COLUMNS:]
        if line:
            parts.append(tile_row(line, _TILE_WIDTH))
    return stack([*parts, *legends])


def html_page(
    title: str, intro: str, sections: Sequence[Section], classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> str:
    """All sections as one HTML page that holds its images, with a legend of the classes in their RGB colours."""
    return templates('samples.html').render(
        title=title,
        intro=intro,
        sections=sections,
        legend=colour_legend(classes, palette),
        image=lambda tile: image_uri(_shrunk(tile.image, 320), width=320),
    )


def _shrunk(image: np.ndarray, width: int) -> np.ndarray:
    shrinks = image.shape[1] > width
    return resize(image, max(1, round(image.shape[0] * width / image.shape[1])), width) if shrinks else image


@cache
def templates(name: str) -> Template:
    """A page template of the package. Text is escaped, and a variable that is not given is an error."""
    options = dict(trim_blocks=True, lstrip_blocks=True, autoescape=True, undefined=StrictUndefined)
    return Environment(loader=PackageLoader('udass.visualization', 'templates'), **options).get_template(name)


def colour_legend(classes: Sequence[str], palette: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """(name, colour of CSS) of every class and of ignored pixels."""
    colours = ['#{:02x}{:02x}{:02x}'.format(*colour) for colour in palette]
    return [*zip(classes, colours, strict=True), ('ignored', '#000000')]


def image_uri(image: np.ndarray | Image.Image, width: int, kind: str = 'png') -> str:
    """An RGB image (H, W, 3) uint8 as a data URI, at most ``width`` pixels wide. As ``png`` colours stay as they are
    and none are mixed, as labels need it; ``jpeg`` is for photographs."""
    result = (image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))).convert('RGB')
    if result.width > width:
        resampling = Image.Resampling.NEAREST if kind == 'png' else Image.Resampling.LANCZOS
        result = result.resize((width, max(1, round(result.height * width / result.width))), resampling)
    buffer = io.BytesIO()
    result.save(buffer, format=kind, quality=85, optimize=True)
    return f'data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}'
