"""Read label files as class ids."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from udass.errors import DamagedFileError
from udass.io.images import REPLACE, check_header, decode, described, read_content

# Label of pixels without a class.
IGNORE_INDEX = 255


def read_label_ids(
    path: str, channel: int | None = None, label_filter: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Read the raw ids (H, W) of a label file, uint8 or wider, values >= 0.

    Args:
        path: a single-channel image or a palette image (its indices are the ids), of 8 or 16 bits.
        channel: if the ids are in one channel of a colour image, its position in the file (0 = red). SYNTHIA: 0.
        label_filter: applied to the ids; ``LABEL_FILTER`` of the data set.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is unreadable or truncated, or larger than ``UDASS_MAX_PIXELS``.
        ValueError: it has other channels than expected, or no integers.
    """
    content = read_content(path)
    ids = _decode_grey(path, content) if channel is None else _decode_channel(path, content, channel)
    return ids if label_filter is None else label_filter(ids)


def _decode_grey(path: str, content: bytes) -> np.ndarray:
    check_header(path, content)
    try:
        # Not OpenCV, which turns palette indices into colours.
        with Image.open(BytesIO(content)) as file:
            ids = np.array(file)
    except Exception as error:  # Pillow's decoders fail in many ways: OSError, SyntaxError, zlib.error, struct.error.
        reason = 'it is not an image' if isinstance(error, UnidentifiedImageError) else error
        raise DamagedFileError(f'{described(path, content)} as a label: {reason}. {REPLACE}') from error
    if ids.ndim != 2:
        raise ValueError(
            f'{path} has shape {ids.shape}; a label has one channel. If it holds the ids in one channel, '
            'set label_channel of the data set; colour-coded labels must be converted to ids'
        )
    if ids.dtype.kind == 'f':
        raise ValueError(f'{path} holds {ids.dtype} values; a label holds integer ids. Convert the label')
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def _decode_channel(path: str, content: bytes, channel: int) -> np.ndarray:
    # Not Pillow, which cuts 16-bit colour files to 8 bits.
    pixels = decode(path, content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DamagedFileError(f'{described(path, content)} as a label. {REPLACE}')
    if pixels.ndim != 3 or not 0 <= channel < 3:
        raise ValueError(
            f'{path} has shape {pixels.shape}, which has no colour channel {channel} (0 red, 1 green, '
            '2 blue). Correct label_channel of the data set (None for single-channel labels)'
        )
    # OpenCV returns blue first (and alpha last).
    return cv2.extractChannel(pixels, 2 - channel)


def map_labels(ids: np.ndarray, table: Mapping[int, int], path: str) -> np.ndarray:
    """Map raw ids (H, W) >= 0 to train ids (H, W) uint8 by a table raw id -> train id or 255; ValueError, with the
    path, if an id is not in it."""
    if ids.dtype != np.uint8 and ids.min() >= 0 and ids.max() < 256:
        ids = ids.astype(np.uint8)
    if ids.dtype == np.uint8:
        # OpenCV's lookup of bytes is several times as fast as NumPy's.
        lookup, unknown = _byte_lookup(tuple(table.items()))
        if cv2.LUT(ids, unknown).any():
            raise_unknown_ids(path, np.unique(ids), table)
        return cv2.LUT(ids, lookup)
    found, places = np.unique(ids, return_inverse=True)
    if any(raw not in table for raw in found.tolist()):
        raise_unknown_ids(path, found, table)
    return np.array([table[raw] for raw in found.tolist()], np.uint8)[places.reshape(ids.shape)]


@lru_cache(maxsize=8)
def _byte_lookup(table: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Train ids of the raw ids 0..255, and which of them are not in the table; (256,) uint8 each."""
    lookup, unknown = np.zeros(256, np.uint8), np.ones(256, np.uint8)
    for raw, new in table:
        if raw < 256:
            lookup[raw], unknown[raw] = new, 0
    return lookup, unknown


def raise_unknown_ids(path: str, found: np.ndarray, table: Mapping[int, int]) -> None:
    """Raise the error for a label file whose distinct ids ``found`` are not all in the table."""
    unknown = [int(raw) for raw in found if int(raw) not in table]
    raise ValueError(
        f'{path} holds the label ids {unknown}, which are not in the label table of its data set (ids '
        f'found: {[int(raw) for raw in found]}, ids listed: {sorted(table)}). Check that the file belongs '
        'to this data set, or add the ids to label_table (255 = ignore)'
    )
