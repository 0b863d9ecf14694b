"""Small files in the encoding and layout in which the data sets are published."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 or uint16 pixels; colours are BGR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def picture(width: int, height: int) -> np.ndarray:
    """(height, width, 3): (y, x, 0) as blue, green, red."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([y, x, y * 0], axis=-1)


def id_columns(ids, width: int, height: int) -> np.ndarray:
    """(height, width) of the raw ids, in vertical stripes."""
    return np.resize(np.repeat(ids, -(-width // len(ids)))[:width], (height, width)).astype(np.uint8)


def write_cityscapes(
    root: Path,
    split: str = 'train',
    ids=(7, 8, 26, 0),
    size=(64, 32),
    city: str = 'ulm',
    frame: str = '000000_000019',
    labelled: bool = True,
) -> None:
    name = f'{split}/{city}/{city}_{frame}'
    write_png(root / f'leftImg8bit/{name}_leftImg8bit.png', picture(*size))
    if labelled:
        write_png(root / f'gtFine/{name}_gtFine_labelIds.png', id_columns(ids, *size))
        # What is published beside them.
        write_png(root / f'gtFine/{name}_gtFine_color.png', picture(*size))
        write_png(root / f'gtFine/{name}_gtFine_instanceIds.png', np.full(size[::-1], 26001, np.uint16))


def write_gta(root: Path, name: str = '00001', ids=(7, 8, 26, 34), size=(192, 106), label_size=None) -> None:
    write_png(root / f'images/{name}.png', picture(*size))
    write_palette(root / f'labels/{name}.png', id_columns(ids, *(label_size or size)))


def write_synthia(root: Path, name: str = '0000000', ids=(3, 4, 21, 22), size=(64, 38)) -> None:
    write_png(root / f'RGB/{name}.png', picture(*size))
    label = np.zeros((size[1], size[0], 3), np.uint16)
    label[..., 2] = id_columns(ids, *size)  # OpenCV writes blue first, red last
    label[..., 1] = 1000  # the instance
    label[..., 0] = 12
    write_png(root / f'GT/LABELS/{name}.png', label)


def write_cityscapes_snippet(
    root: Path,
    split: str = 'train',
    ids=(7, 25, 26, 0),
    size=(64, 32),
    city: str = 'ulm',
    sequence: str = '000000',
    labelled_frame: int = 19,
    first: int = 0,
    length: int = 30,
) -> None:
    """Frames of leftImg8bit_sequence, one of them labelled in gtFine."""
    for number in range(first, first + length):
        name = f'{split}/{city}/{city}_{sequence}_{number:06d}'
        write_png(root / f'leftImg8bit_sequence/{name}_leftImg8bit.png', picture(*size))
    name = f'{split}/{city}/{city}_{sequence}_{labelled_frame:06d}'
    write_png(root / f'gtFine/{name}_gtFine_labelIds.png', id_columns(ids, *size))
    write_png(root / f'gtFine/{name}_gtFine_color.png', picture(*size))


def write_viper(
    root: Path, split: str = 'train', sequence: str = '001', frames=(9, 10, 11, 20), ids=(3, 24, 20, 0), size=(96, 54)
) -> None:
    for number in frames:
        name = f'{sequence}/{sequence}_{number:05d}'
        write_png(root / f'{split}/img/{name}.jpg', picture(*size))
        write_png(root / f'{split}/cls/{name}.png', id_columns(ids, *size))


def write_bdd_vid(
    root: Path,
    split: str = 'train',
    video: str = '53f06672-e942bc38',
    ids=(0, 12, 13, 255),
    size=(64, 36),
    labelled: bool = True,
) -> None:
    """Frames 303 to 311 of a video, the train ids of frame 307."""
    for number in range(303, 312):
        write_png(root / f'{split}/images/{video}_{number}.jpg', picture(*size))
    if labelled:
        write_png(root / f'{split}/labels/{video}_307.png', id_columns(ids, *size))


def write_synthia_seq(
    root: Path, sequence: str = 'SEQS-04-DAWN', frames=range(3), ids=(3, 4, 11, 22), size=(64, 38)
) -> None:
    for number in frames:
        write_png(root / f'{sequence}/rgb/{number:06d}.png', picture(*size))
        label = np.zeros((size[1], size[0], 3), np.uint16)
        label[..., 2] = id_columns(ids, *size)  # red, see write_synthia
        label[..., 1] = 1000
        write_png(root / f'{sequence}/label/{number:06d}.png', label)


def write_bdd100k(root: Path, split: str = 'val', ids=(0, 13, 18, 255), size=(96, 54), labelled: bool = True) -> None:
    write_png(root / f'images/10k/{split}/7d06fefd-f7be05a6.jpg', picture(*size))
    if labelled:
        write_png(root / f'labels/sem_seg/masks/{split}/7d06fefd-f7be05a6.png', id_columns(ids, *size))
        # What is published beside them.
        write_png(root / f'labels/sem_seg/colormaps/{split}/7d06fefd-f7be05a6.png', picture(*size))


def write_palette(path: Path, ids: np.ndarray) -> None:
    """Write a palette file whose colours are not the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = Image.fromarray(ids).convert('P')
    label.putpalette([value for index in range(256) for value in (255 - index, index // 2, 77)])
    label.save(path)


def write_mapillary(
    root: Path, version: str = 'v1.2', split: str = 'validation', ids=(13, 55, 52, 65), size=(80, 60)
) -> None:
    """Version '' is the archive of version 1.2 alone."""
    write_png(root / split / 'images/0daE8mWQlKFbgOqQJjyZ3A.jpg', picture(*size))
    write_palette(root / split / version / 'labels/0daE8mWQlKFbgOqQJjyZ3A.png', id_columns(ids, *size))


def write_wilddash(root: Path, name: str = 'ar0000_100000', ids=(7, 26, 33, 35), size=(96, 54)) -> None:
    write_png(root / f'images/{name}.jpg', picture(*size))
    write_png(root / f'labels/{name}.png', id_columns(ids, *size))


def write_synscapes(root: Path, name: str = '1', ids=(7, 26, 33, 3), size=(72, 36)) -> None:
    write_png(root / f'img/rgb/{name}.png', picture(*size))
    # 1440x720 and 2048x1024 in the original.
    write_png(root / f'img/rgb-2k/{name}.png', picture(*(side * 64 // 45 for side in size)))
    write_png(root / f'img/class/{name}.png', id_columns(ids, *size))


def write_urbansyn(root: Path, number: str = '0001', ids=(0, 13, 18, 19), size=(64, 32)) -> None:
    write_png(root / f'rgb/rgb_{number}.png', picture(*size))
    label = np.full((size[1], size[0], 4), 255, np.uint8)
    label[..., :3] = id_columns(ids, *size)[..., None]
    write_png(root / f'ss/ss_{number}.png', label)
    write_png(root / f'ss_color/ss_color_{number}.png', picture(*size))


def write_acdc(
    root: Path,
    condition: str,
    split: str,
    labelled: bool = True,
    ids=(0, 13, 18, 255),
    size=(96, 54),
    frame: str = '000001',
) -> None:
    name = f'{condition}/{split}/GOPR0475/GOPR0475_frame_{frame}'
    write_png(root / f'rgb_anon/{name}_rgb_anon.png', picture(*size))
    # The same place in good weather, published beside it.
    write_png(
        root / f'rgb_anon/{condition}/{split}_ref/GOPR0475/GOPR0475_frame_{frame}_rgb_ref_anon.png', picture(*size)
    )
    if labelled:
        write_png(root / f'gt/{name}_gt_labelTrainIds.png', id_columns(ids, *size))
        write_png(root / f'gt/{name}_gt_labelIds.png', np.full(size[::-1], 33, np.uint8))


def write_dark_zurich(
    root: Path, split: str, labelled: bool = True, ids=(0, 13, 18, 255), size=(96, 54), time: str = 'night'
) -> None:
    name = f'{split}/{time}/GOPR0356/GOPR0356_frame_000321'
    write_png(root / f'rgb_anon/{name}_rgb_anon.png', picture(*size))
    if labelled:
        write_png(root / f'gt/{name}_gt_labelTrainIds.png', id_columns(ids, *size))
