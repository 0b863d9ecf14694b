"""Reading images and labels: what is in the files, or an error that names the file.

Shapes: an image is (H, W, 3) uint8 BGR, a label (H, W) with train ids 0..C-1 and 255 = ignore.
"""
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from udass.checksums import is_damaged_png
from udass.errors import DamagedFileError

from ..archives import read_file
from .video import read_video_frame, split_frame_path

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_REPLACE = 'The file is damaged: copy or download it again, or remove it (and its label) from the data set'
_NOT_LISTED = -1


def _read_bytes(path: str) -> bytes:
    """Content of a file; that of a PNG file is compared with the checksums in it.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: the file is empty, or a damaged PNG file.
    """
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path} does not exist; it was there when the data set was listed, or its name comes '
                                'from a wrong list') from error
    if not content:
        raise DamagedFileError(f'{path} is empty. {_REPLACE}')
    if is_damaged_png(content):
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded: it is truncated, or differs from the '
                               f'checksums in it. {_REPLACE}')
    return content


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG ends before its end marker. Some versions of OpenCV return grey pixels for such files.

    The bytes of the end marker cannot occur within image data; those of an embedded preview come before the last scan.
    """
    if not content.startswith(_JPEG_START) or content.endswith(_JPEG_END):
        return False
    return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)


def read_image(path: str, upright: bool = False) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 BGR. An orientation tag is ignored, as labels carry none.

    Args:
        path: an image file, or a frame of a video file as ``frame_path`` names it.
        upright: turn the picture as its orientation tag says.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is no image, or a truncated one.
    """
    frame = split_frame_path(path)
    if frame is not None:
        return read_video_frame(*frame)
    content = _read_bytes(path)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = None if _is_cut_jpeg(content) else cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded: it is truncated or no image. '
                               f'{_REPLACE}')
    return image


def read_label_ids(path: str, channel: int | None = None) -> np.ndarray:
    """Read the raw ids of a label file.

    Args:
        path: a single-channel image or a palette image (its indices are the ids); 8 or 16 bit.
        channel: if the ids are in one channel of a colour image, its position in the file (0 = red). SYNTHIA: 0.

    Returns:
        (H, W), uint8 or wider, values >= 0.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is unreadable or truncated.
        ValueError: it has other channels than expected.
    """
    content = _read_bytes(path)
    if channel is not None:
        return _read_label_channel(path, content, channel)
    # Not OpenCV: it turns palette indices into colours.
    try:
        with Image.open(BytesIO(content)) as file:
            ids = np.array(file)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded as a label: {error}. '
                               f'{_REPLACE}') from error
    if ids.ndim != 2:
        raise ValueError(f'{path} has shape {ids.shape}; a label has one channel. If it holds the ids in one channel, '
                         'set label_channel of the data set; colour-coded labels must be converted to ids')
    if ids.dtype.kind == 'f':
        raise ValueError(f'{path} holds {ids.dtype} values; a label holds integer ids. Convert the label')
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def read_filtered_ids(path: str, channel: int | None = None,
                      label_filter: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """As ``read_label_ids``, followed by the data set's ``LABEL_FILTER``, if it has one."""
    ids = read_label_ids(path, channel=channel)
    return ids if label_filter is None else label_filter(ids)


def _read_label_channel(path: str, content: bytes, channel: int) -> np.ndarray:
    """One channel of a colour label. Not Pillow: it cuts 16-bit colour files to 8 bits."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded as a label. {_REPLACE}')
    if pixels.ndim != 3 or not 0 <= channel < 3:
        raise ValueError(f'{path} has shape {pixels.shape}, which has no colour channel {channel} (0 red, 1 green, '
                         '2 blue). Correct label_channel of the data set (None for single-channel labels)')
    # OpenCV returns blue first (and alpha last).
    return cv2.extractChannel(pixels, 2 - channel)


@lru_cache(maxsize=8)
def _lookup(table: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Array over raw ids: the train id, or ``_NOT_LISTED``. It covers 16 bits, so that any id of a file is inside."""
    lookup = np.full(2**16, _NOT_LISTED, dtype=np.int16)
    raw, new = np.array(table).T
    lookup[raw] = new
    return lookup


@lru_cache(maxsize=8)
def _byte_lookup(table: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray, int]:
    """For ids of one byte: the train ids (256,) uint8, which ids are not listed (256,) uint8, and the first of those
    (256 if all are listed)."""
    lookup = _lookup(table)[:256]
    unlisted = (lookup == _NOT_LISTED).astype(np.uint8)
    return lookup.astype(np.uint8), unlisted, int(unlisted.argmax()) if unlisted.any() else 256


def raise_unknown_ids(path: str, found: np.ndarray, table: Mapping[int, int]) -> None:
    """The error for a label file whose distinct ids ``found`` are not all in the table."""
    unknown = [int(raw) for raw in found if int(raw) not in table]
    raise ValueError(f'{path} holds the label ids {unknown}, which are not in the label table of its data set (ids '
                     f'found: {[int(raw) for raw in found]}, ids listed: {sorted(table)}). Check that the file belongs '
                     'to this data set, or add the ids to label_table (255 = ignore)')


def map_labels(ids: np.ndarray, table: Mapping[int, int], path: str) -> np.ndarray:
    """Map raw ids to train ids.

    Args:
        ids: (H, W) raw ids >= 0.
        table: raw id -> train id (0..254) or 255 = ignore.
        path: the file, for the message.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: an id is not in the table.
    """
    entries = tuple(sorted(table.items()))
    largest = ids.max()
    if ids.dtype != np.uint8 and largest < 256 and ids.min() >= 0:
        ids = ids.astype(np.uint8)
    if ids.dtype == np.uint8:
        # OpenCV's lookup of bytes is several times as fast as NumPy's of any size.
        lookup, unlisted, first_unlisted = _byte_lookup(entries)
        if largest >= first_unlisted and cv2.LUT(ids, unlisted).any():
            raise_unknown_ids(path, np.unique(ids), table)
        return cv2.LUT(ids, lookup)
    lookup = _lookup(entries)
    # Only 32-bit files can hold an id beyond the lookup table.
    if ids.dtype.itemsize > 2 and (ids.min() < 0 or largest >= lookup.size):
        raise_unknown_ids(path, np.unique(ids), table)
    labels = lookup.take(ids)
    if labels.min() == _NOT_LISTED:
        raise_unknown_ids(path, np.unique(ids), table)
    return labels.astype(np.uint8)


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path``.

    Adds ``img`` (H, W, 3) uint8 BGR (the data preprocessor makes it RGB), ``img_shape`` and ``ori_shape`` (H, W).

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """

    def transform(self, results: dict) -> dict:
        """Add the image to the results."""
        image = read_image(results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read ``seg_map_path`` and map its ids with the data set's ``label_table``. Needs ``LoadImage`` before it.

    Adds ``gt_seg_map`` (H, W) uint8, H and W those of the image file.

    Args:
        max_size_difference: pixels by which label and image file may differ in height and width (GTA has such pairs);
            the label is then stretched to the image with nearest neighbours.

    Raises:
        FileNotFoundError, ValueError: the file is unreadable, holds an id outside the table or has another size than
            its image, or the data set has no labels.
    """

    def __init__(self, max_size_difference: int = 0) -> None:
        super().__init__()
        self.max_size_difference = max_size_difference

    def transform(self, results: dict) -> dict:
        """Add the label to the results."""
        path = results.get('seg_map_path')
        if path is None:
            raise ValueError(f"{results['img_path']} comes from a data set without labels (labelled=False): remove "
                             'LoadLabels from its pipeline, or set labelled=True')
        results['gt_seg_map'] = self.read(path, results)
        if 'gt_seg_map' not in results.setdefault('seg_fields', []):
            results['seg_fields'].append('gt_seg_map')
        return results

    def read(self, path: str, results: dict) -> np.ndarray:
        """Train ids (H, W) of a label file of this sample."""
        ids = read_filtered_ids(path, results.get('label_channel'), results.get('label_filter'))
        labels = map_labels(ids, results['label_table'], path)
        height, width = results['ori_shape']
        if labels.shape != (height, width):
            difference = max(abs(labels.shape[0] - height), abs(labels.shape[1] - width))
            if difference > self.max_size_difference:
                raise ValueError(f'{path} is {labels.shape[1]}x{labels.shape[0]} pixels, its image '
                                 f"{results['img_path']} {width}x{height} (width x height). Check that they belong "
                                 'together; if the data set is known for small differences, set max_size_difference '
                                 'of LoadLabels')
            labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        return labels

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_size_difference={self.max_size_difference})'
