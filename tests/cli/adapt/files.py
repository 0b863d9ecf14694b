"""Tiny folders of images and labels."""

import cv2
import numpy as np
from PIL import Image

SIZE = (16, 24)


def write_image(path, seed=0, size=SIZE):
    """A noisy image (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def write_turned(path):
    """Adds an orientation tag to an image, by which viewers turn it."""
    with Image.open(path) as image:
        tags = image.getexif()
        tags[274] = 6
        image.save(path, exif=tags)


def write_ids(path, values, palette=None, size=SIZE):
    """A label of vertical stripes of these ids, grey or, with a palette, coloured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(stripes(values, size).astype(np.uint8))
    if palette is not None:
        image.putpalette([part for colour in palette for part in colour])
    image.save(path)


def write_colours(path, colours, size=SIZE):
    """A label of vertical stripes of these colours (RGB)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(colours, np.uint8)[stripes(range(len(colours)), size)]).save(path)


def stripes(values, size=SIZE):
    """(H, W) array of vertical stripes of one width."""
    values = np.array(list(values))
    return np.broadcast_to(values[np.arange(size[1]) * len(values) // size[1]], size)


def write_folder(root, count=3, values=(0, 1, 2), palette=None):
    """``images/*.png`` and ``labels/*.png``."""
    for number in range(count):
        write_image(root / 'images' / f'{number}.png', number)
        write_ids(root / 'labels' / f'{number}.png', values, palette)
    return root


def write_video(path, frames=6):
    """Grey frames of 32x24 that grow brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (32, 24))
    for number in range(frames):
        writer.write(np.full((24, 32, 3), 40 * number, np.uint8))
    writer.release()
