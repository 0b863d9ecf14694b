"""Pages of captioned pictures: as one picture, and as one HTML file that opens from disk. Drawing only."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from udass.visualization.canvas import blank, fitting_size, font, scaled, stack, write

_GAP, _GROUP_GAP, _TEXT, _TITLE = 6, 22, 13, 20
# Of a drawn page: tiles, each with its caption, side by side in at most three groups.
_TILE_WIDTH, _COLUMNS = 260, 6
PAGE_WIDTH = _COLUMNS * (_TILE_WIDTH + _GAP) + 3 * _GROUP_GAP


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 RGB, and what is said about it."""

    picture: np.ndarray
    caption: str


@dataclass(frozen=True)
class Section:
    """Groups of tiles that belong together, such as the frames and the label of one sample, under a title."""

    title: str
    note: str
    groups: Sequence[Sequence[Tile]]


def draw_page(sections: Sequence[Section], keys: Sequence[np.ndarray] = ()) -> np.ndarray:
    """All sections below each other as one RGB picture; groups stay on one line where they fit.

    Args:
        sections: what to draw.
        keys: pictures of `PAGE_WIDTH` that explain colours, for the end of the page.
    """
    parts = [blank(_GAP, PAGE_WIDTH)]
    for section in sections:
        parts.append(_heading(section, PAGE_WIDTH))
        line: list[np.ndarray] = []
        for group in section.groups:
            for start in range(0, len(group), _COLUMNS):
                block = _block(group[start : start + _COLUMNS], _TILE_WIDTH)
                if line and sum(one.shape[1] + _GROUP_GAP for one in [*line, block]) > PAGE_WIDTH:
                    parts.append(_side_by_side(line))
                    line = []
                line.append(block)
        if line:
            parts.append(_side_by_side(line))
    return stack([*parts, *keys])


def html_page(
    title: str,
    intro: str,
    sections: Sequence[Section],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    tile_width: int = 320,
) -> str:
    """All sections as an HTML page that holds its pictures.

    Args:
        title, intro: of the page.
        sections: what to show.
        classes, palette: names and RGB colours, for the legend.
        tile_width: pixels at which wider pictures are stored.
    """
    body = []
    for section in sections:
        groups = ''.join(
            '<div class="group">' + ''.join(_figure(tile, tile_width) for tile in group) + '</div>'
            for group in section.groups
        )
        body.append(
            f'<section><h2>{escape(section.title)}</h2><p>{escape(section.note)}</p>'
            f'<div class="groups">{groups}</div></section>'
        )
    swatches = ''.join(
        f'<span><i style="background:rgb({", ".join(map(str, colour))})"></i>{escape(name)}</span>'
        for name, colour in [*zip(classes, palette, strict=True), ('ignored', (0, 0, 0))]
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p>{escape(intro)}</p><div class="legend">{swatches}</div>{"".join(body)}'
        '</body></html>\n'
    )


_STYLE = (
    'body{font:15px/1.4 system-ui,sans-serif;color:#1e1e1e;background:#fff;margin:1rem auto;max-width:90rem;'
    'padding:0 .8rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:1.6rem 0 .2rem}p{margin:.2rem 0 .6rem}'
    '.groups{display:flex;flex-wrap:wrap;gap:.8rem 1.6rem}.group{display:flex;flex-wrap:wrap;gap:.4rem}'
    'figure{margin:0;width:min(19rem,45vw)}img{width:100%;display:block;image-rendering:pixelated}'
    'figcaption{font-size:.8rem;overflow-wrap:anywhere}'
    '.legend{display:flex;flex-wrap:wrap;gap:.3rem .9rem;font-size:.85rem}'
    '.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.3em;vertical-align:-.1em}'
)


def _figure(tile: Tile, tile_width: int) -> str:
    height, width = tile.picture.shape[:2]
    if width > tile_width:
        height, width = max(1, round(height * tile_width / width)), tile_width
    png = cv2.imencode('.png', np.ascontiguousarray(scaled(tile.picture, height, width)[..., ::-1]))[1]
    data = base64.b64encode(png.tobytes()).decode('ascii')
    caption = escape(tile.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _heading(section: Section, width: int) -> np.ndarray:
    picture = blank(_TITLE + _TEXT + 5 * _GAP, width)
    picture = write(picture, section.title, (_GAP, 2 * _GAP), _TITLE)
    return write(picture, section.note, (_GAP, 3 * _GAP + _TITLE), fitting_size(section.note, width - 2 * _GAP, _TEXT))


def _block(tiles: Sequence[Tile], tile_width: int) -> np.ndarray:
    """Tiles side by side, each above its caption."""
    heights = [max(1, round(tile.picture.shape[0] * tile_width / tile.picture.shape[1])) for tile in tiles]
    lines = [_wrapped(tile.caption, tile_width) for tile in tiles]
    below = max(map(len, lines)) * (_TEXT + 4) + _GAP
    picture = blank(max(heights) + below, len(tiles) * (tile_width + _GAP))
    for number, (tile, height) in enumerate(zip(tiles, heights, strict=True)):
        left = number * (tile_width + _GAP)
        picture[:height, left : left + tile_width] = scaled(tile.picture, height, tile_width)
        for place, text in enumerate(lines[number]):
            picture = write(picture, text, (left, height + 3 + place * (_TEXT + 4)), _TEXT)
    return picture


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` pixels; a word that is too long is broken."""
    lines = ['']
    for word in text.split():
        if lines[-1] and font(_TEXT).getlength(f'{lines[-1]} {word}') <= width:
            lines[-1] += f' {word}'
            continue
        if lines[-1]:
            lines.append('')
        for character in word:
            if font(_TEXT).getlength(lines[-1] + character) > width:
                lines.append('')
            lines[-1] += character
    return lines


def _side_by_side(blocks: Sequence[np.ndarray]) -> np.ndarray:
    height = max(block.shape[0] for block in blocks)
    padded = [
        np.pad(block, ((0, height - block.shape[0] + _GAP), (_GAP, _GROUP_GAP - _GAP), (0, 0)), constant_values=255)
        for block in blocks
    ]
    return np.concatenate(padded, axis=1)
