"""Building blocks of pictures: colours, scaling, text, grids. Pictures are uint8 RGB arrays (H, W, 3)."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from udass.io.writing import write_image

INK = (30, 30, 30)
PAPER = (255, 255, 255)
IGNORED = (0, 0, 0)


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, ``size`` in pixels."""
    return ImageFont.load_default(size)


def blank(height: int, width: int) -> np.ndarray:
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
    colours = colour_labels(labels, palette).astype(np.float32)
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * colours
    ignored = (labels >= len(palette))[..., None]
    return np.where(ignored, image, np.round(mixed)).astype(np.uint8)


def colour_scale(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1], (H, W), as colours of the viridis map: 0 dark violet, 1 yellow."""
    bytes_ = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(bytes_, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Picture in the given size: averaged when it shrinks, pixels repeated when it grows."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = height < picture.shape[0]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def write(picture: np.ndarray, text: str, xy: tuple[int, int], size: int, anchor: str = 'la') -> np.ndarray:
    """The picture with text; ``xy`` in pixels, ``anchor`` as in Pillow."""
    canvas = Image.fromarray(picture)
    ImageDraw.Draw(canvas).text(xy, text, fill=INK, font=font(size), anchor=anchor)
    return np.array(canvas)


def grid(
    rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str], gap: int = 6, text_size: int = 16
) -> np.ndarray:
    """Tiles of one size in rows below column titles; None leaves a place empty."""
    height, width = next(tile for row in rows for tile in row if tile is not None).shape[:2]
    head = text_size + 2 * gap
    picture = blank(head + len(rows) * (height + gap), gap + len(titles) * (width + gap))
    for number, row in enumerate(rows):
        top = head + number * (height + gap)
        for column, tile in enumerate(row):
            if tile is not None:
                left = gap + column * (width + gap)
                picture[top : top + height, left : left + width] = tile
    for column, title in enumerate(titles):
        size = fitting_size(title, width, text_size)
        picture = write(picture, title, (gap + column * (width + gap) + width // 2, head // 2), size, anchor='mm')
    return picture


def fitting_size(text: str, width: int, size: int) -> int:
    """The largest text size up to ``size`` at which ``text`` is no wider than ``width`` pixels (at least 7)."""
    while size > 7 and font(size).getlength(text) > width:
        size -= 1
    return size


def legend(
    classes: Sequence[str], palette: Sequence[Sequence[int]], width: int, text_size: int = 14, ignored: bool = True
) -> np.ndarray:
    """Colour and name of every class and, if asked for, of ignored pixels, in lines of at most ``width`` pixels."""
    entries = [*zip(classes, palette, strict=True), *[('ignored', IGNORED)] * ignored]
    swatch, gap = text_size, 6
    cell = swatch + 3 * gap + int(max(font(text_size).getlength(name) for name, _ in entries))
    columns = max(1, min(len(entries), (width - gap) // cell))
    lines = -(-len(entries) // columns)
    picture = blank(lines * (swatch + gap) + gap, width)
    for number, (name, colour) in enumerate(entries):
        line, column = divmod(number, columns)
        left, top = gap + column * cell, gap + line * (swatch + gap)
        picture[top : top + swatch, left : left + swatch] = colour
        picture = write(picture, name, (left + swatch + gap, top + swatch // 2), text_size, anchor='lm')
    return picture


def scale_bar(width: int, label: str, text_size: int = 14) -> np.ndarray:
    """The colours of :func:`colour_scale` from 0 to 1 with numbers at both ends and what they mean."""
    gap, length = 6, 160
    picture = blank(text_size + 2 * gap, width)
    picture = write(picture, f'{label}   0', (gap, gap + text_size // 2), text_size, anchor='lm')
    left = 2 * gap + int(font(text_size).getlength(f'{label}   0'))
    ramp = colour_scale(np.linspace(0, 1, length)[None].repeat(text_size, axis=0))
    visible = min(length, width - left)
    picture[gap : gap + text_size, left : left + visible] = ramp[:, :visible]
    return write(picture, '1', (left + length + gap, gap + text_size // 2), text_size, anchor='lm')


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures below each other, narrower ones filled up with paper on the right."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in parts]
    )


def save_image(path: Path, picture: np.ndarray) -> None:
    """Writes an RGB picture; makes the folder.

    Raises:
        OSError: the file cannot be written.
    """
    write_image(path, picture[..., ::-1])
