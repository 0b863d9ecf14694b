"""Drawn picture files as large as GTA's, for measuring loaders without the data set."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from udass.datasets.cityscapes_classes import LABEL_IDS, PALETTE

SIZE = (1052, 1914)
"""(H, W) of GTA's pictures."""
_GROUND = (7, 8, 11, 21, 23)
_RARE = (12, 13, 17, 19, 25, 28, 31, 32, 33)
_COMMON_OBJECTS = 60
# A file that is drawn for a class shows 3000 pixels of it or more, and hardly ever much more in one place.
_OBJECTS, _OBJECT_PIXELS = (1, 4), (1500, 8000)
_CLOUD, _NOISE = 64, 1.2


def draw_label(generator: np.random.Generator) -> np.ndarray:
    """Label ids (H, W) uint8: bands of ground and sky, boxes of any class, and a few small objects of two rare ones."""
    height, width = SIZE
    label = np.empty(SIZE, np.uint8)
    borders = np.linspace(0, height, len(_GROUND) + 1).astype(int)
    for top, bottom, raw in zip(borders[:-1], borders[1:], generator.permutation(_GROUND), strict=True):
        label[top:bottom] = raw
    common = sorted(set(LABEL_IDS) - set(_RARE))
    for _ in range(_COMMON_OBJECTS):
        x, y = generator.integers(width), generator.integers(height)
        corner = (int(x + generator.integers(10, 200)), int(y + generator.integers(10, 200)))
        cv2.rectangle(label, (int(x), int(y)), corner, int(generator.choice(common)), -1)
    for raw in generator.choice(_RARE, 2, replace=False):
        for _ in range(generator.integers(*_OBJECTS)):
            pixels = np.exp(generator.uniform(*np.log(_OBJECT_PIXELS)))
            radius = np.sqrt(pixels / np.pi)
            centre = generator.uniform((0.05 * width, 0.3 * height), (0.95 * width, 0.9 * height))
            cv2.ellipse(
                label,
                tuple(centre.astype(int).tolist()),
                (int(radius * 0.7), int(radius / 0.7)),
                0,
                0,
                360,
                int(raw),
                -1,
            )
    return label


def draw_image(label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8: the colours of the classes under clouds and noise, which make the file about as large as GTA's
    (2.3 MB on average)."""
    colours = np.zeros((256, 3), np.uint8)
    colours[list(LABEL_IDS)] = PALETTE
    height, width = SIZE
    clouds = generator.normal(0, 40, (height // _CLOUD + 2, width // _CLOUD + 2, 3)).astype(np.float32)
    clouds = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = generator.normal(0, _NOISE, (height, width, 1)).astype(np.float32)
    return np.clip(colours[label] * 0.6 + 60 + clouds + noise, 0, 255).astype(np.uint8)


def draw_files(folder: Path, number: int, seed: int = 0) -> None:
    """Write ``images/`` and ``labels/`` in the layout of GTA."""
    palette = np.zeros((256, 3), np.uint8)
    palette[list(LABEL_IDS)] = PALETTE
    for name in ('images', 'labels'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(number):
        generator = np.random.default_rng([seed, index])
        label = draw_label(generator)
        Image.fromarray(draw_image(label, generator)).save(folder / 'images' / f'{index:05d}.png')
        file = Image.fromarray(label, mode='P')
        file.putpalette(palette.ravel().tolist())
        file.save(folder / 'labels' / f'{index:05d}.png')
