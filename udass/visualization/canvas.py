"""Draw label maps, tiles with captions and legends. Images are uint8 RGB arrays (H, W, 3)."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from udass.io.writing import write_image

INK, PAPER, IGNORED = (30, 30, 30), (255, 255, 255), (0, 0, 0)
_GAP = 6


@dataclass(frozen=True)
class Tile:
    """An image and its caption."""

    image: np.ndarray
    caption: str = ''


def blank(height: int, width: int) -> np.ndarray:
    """An empty image."""
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def colour_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Labels (H, W) as colours (H, W, 3); ids outside the palette, such as 255 (ignored), become black."""
    table = np.full((256, 3), IGNORED, dtype=np.uint8)
    table[: len(palette)] = np.asarray(palette, dtype=np.uint8)
    return table[np.clip(labels, 0, 255).astype(np.uint8)]


def overlay_labels(
    image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]], opacity: float = 0.6
) -> np.ndarray:
    """Label colours over an image (H, W, 3); ignored pixels show the image alone."""
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * colour_labels(labels, palette).astype(np.float32)
    return np.where((labels >= len(palette))[..., None], image, np.round(mixed)).astype(np.uint8)


def colour_scale(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1], (H, W), as colours of the viridis map: 0 is dark violet, 1 is yellow."""
    levels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Image in the given size: averaged when it shrinks, pixels repeated when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def write_text(image: np.ndarray, text: str, xy: tuple[int, int], size: int, anchor: str = 'la') -> np.ndarray:
    """A copy of the image with text at ``xy``, ``size`` in pixels, ``anchor`` as in Pillow."""
    canvas = Image.fromarray(image)
    ImageDraw.Draw(canvas).text(xy, text, fill=INK, font=ImageFont.load_default(size), anchor=anchor)
    return np.array(canvas)


def text_width(text: str, size: int) -> int:
    """Width of a line of text in pixels, rounded up."""
    return int(np.ceil(ImageFont.load_default(size).getlength(text)))


def wrap(text: str, width: int, size: int) -> list[str]:
    """Lines of at most ``width`` pixels; words that are too long are broken."""
    characters = len(text)
    while characters > 1:
        lines = textwrap.wrap(text, characters)
        if max((text_width(line, size) for line in lines), default=0) <= width:
            return lines
        characters = min(characters - 1, int(0.95 * characters))
    return [text] if text else []


def tile_row(tiles: Sequence[Tile | None], width: int, text_size: int = 14) -> np.ndarray:
    """Tiles side by side below their captions, each ``width`` pixels wide. None leaves a place empty."""
    captions = [wrap(tile.caption, width, text_size) if tile else [] for tile in tiles]
    heights = [max(1, round(tile.image.shape[0] * width / tile.image.shape[1])) if tile else 0 for tile in tiles]
    top = max(map(len, captions)) * (text_size + 5)
    row = blank(top + max(heights) + _GAP, _GAP + len(tiles) * (width + _GAP))
    for column, tile in enumerate(tiles):
        if tile is None:
            continue
        left = _GAP + column * (width + _GAP)
        row[top : top + heights[column], left : left + width] = resize(tile.image, heights[column], width)
        for number, line in enumerate(captions[column]):
            row = write_text(row, line, (left, number * (text_size + 5)), text_size)
    return row


def legend(
    classes: Sequence[str], palette: Sequence[Sequence[int]], width: int, text_size: int = 14, ignored: bool = True
) -> np.ndarray:
    """Colour and name of every class and, if asked for, of ignored pixels, in lines of at most ``width`` pixels."""
    entries = [*zip(classes, palette, strict=True), *[('ignored', IGNORED)] * ignored]
    cell = text_size + 3 * _GAP + max(text_width(name, text_size) for name, _ in entries)
    columns = max(1, min(len(entries), (width - _GAP) // cell))
    image = blank(-(-len(entries) // columns) * (text_size + _GAP) + _GAP, width)
    for number, (name, colour) in enumerate(entries):
        left, top = _GAP + number % columns * cell, _GAP + number // columns * (text_size + _GAP)
        image[top : top + text_size, left : left + text_size] = colour
        image = write_text(image, name, (left + text_size + _GAP, top + text_size // 2), text_size, anchor='lm')
    return image


def scale_bar(width: int, label: str, text_size: int = 14) -> np.ndarray:
    """The colours of `colour_scale` from 0 to 1 with their label."""
    left, length = 2 * _GAP + text_width(f'{label}   0', text_size), 160
    middle = _GAP + text_size // 2
    image = write_text(blank(text_size + 2 * _GAP, width), f'{label}   0', (_GAP, middle), text_size, anchor='lm')
    image[_GAP:-_GAP, left : left + length] = colour_scale(np.linspace(0, 1, length)[None])[:, : max(0, width - left)]
    return write_text(image, '1', (left + length + _GAP, middle), text_size, anchor='lm')


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Images below each other; narrower ones are padded on the right."""
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in parts]
    return np.concatenate(padded)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image, and make its folder; see `write_image`."""
    write_image(path, image[..., ::-1])
