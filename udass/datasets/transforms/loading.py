"""Reading images and labels: what is in the files, or an error that names the file.

Shapes: an image is (H, W, 3) uint8 BGR, a label (H, W) with train ids 0..C-1 and 255 = ignore.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from udass.errors import DamagedFileError
from udass.io.checksums import is_damaged_png
from udass.io.video import read_video_frame, split_frame_path
from udass.io.zip_files import read_file

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_REPLACE = 'The file is damaged: copy or download it again, or remove it (and its label) from the data set'
_WHOLE_NUMBERS = 'an image holds integers of 8 or 16 bits. Convert the images to 8 bits'
_NOT_LISTED = -1
# Larger images are refused before they are decoded: a few bytes of file can stand for gigabytes of pixels.
MAX_PIXELS = int(os.environ.get('UDASS_MAX_PIXELS', str(2**28)))
# Pillow has a limit of its own, at twice this number.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Of sensors whose values are stored in files of 16 bits, where they fill the lower bits.
_BIT_DEPTHS = (10, 12, 14, 16)
_TIFF_STARTS = (b'II*\0', b'MM\0*')
_TIFF_BITS, _TIFF_CHANNELS, _TIFF_KIND = 258, 277, 339
_ORIENTATION = 274


def _read_bytes(path: str) -> bytes:
    """Content of a file; that of a PNG file is compared with the checksums in it.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: the file is empty, or a damaged PNG file.
    """
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{path} does not exist; it was there when the data set was listed, or its name comes from a wrong list'
        ) from error
    if not content:
        raise DamagedFileError(f'{path} is empty. {_REPLACE}')
    if is_damaged_png(content):
        raise DamagedFileError(
            f'{path} ({len(content)} bytes) cannot be decoded: it is truncated, or differs from the '
            f'checksums in it. {_REPLACE}'
        )
    return content


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG ends before its end marker. Some versions of OpenCV return grey pixels for such files.

    The bytes of the end marker cannot occur within image data; those of an embedded preview come before the last scan.
    """
    if not content.startswith(_JPEG_START) or content.endswith(_JPEG_END):
        return False
    return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)


def read_image(path: str, upright: bool = False, bit_depth: int | None = None) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 BGR. An orientation tag is ignored, as labels carry none.

    Files have 8 or 16 bits and 1, 3 or 4 channels (alpha is dropped). Values of 16-bit files are scaled to 0..255.

    Args:
        path: an image file, or a frame of a video file as ``frame_path`` names it.
        upright: turn the picture as its orientation tag says.
        bit_depth: bits that the values of 16-bit files have, such as 12 for many industrial cameras. None = the
            smallest of 10, 12, 14 and 16 that holds the largest value of the file, with a warning if it is not 16: a
            dark image may then be scaled otherwise than the rest.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is no image, or a truncated one, or larger than ``UDASS_MAX_PIXELS``.
        ValueError: it has more than 4 channels, floating-point values, or values of more than ``bit_depth`` bits.
    """
    frame = split_frame_path(path)
    if frame is not None:
        return read_video_frame(*frame)
    content = _read_bytes(path)
    # The file's own depth: OpenCV would cut 16 bits to 8, and does not read floating point as 8 bits at all.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    image = None if _is_cut_jpeg(content) else _decode(path, content, flags)
    if image is None:
        _raise_if_not_whole_numbers(path, content)
        raise DamagedFileError(
            f'{path} ({len(content)} bytes) cannot be decoded: it is truncated or no image. {_REPLACE}'
        )
    if image.dtype == np.uint16:
        return _to_eight_bits(path, image, bit_depth)
    if image.dtype != np.uint8:
        raise ValueError(f'{path} holds {image.dtype} values; {_WHOLE_NUMBERS}')
    return image


def _decode(path: str, content: bytes, flags: int) -> np.ndarray | None:
    """What OpenCV makes of the content of an image file; None if nothing."""
    _check_header(path, content)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded: {error.err}. {_REPLACE}') from error


def _check_header(path: str, content: bytes) -> None:
    """Refuse by what the head of a file says, which costs little, what must not or cannot be decoded.

    Raises:
        DamagedFileError: the file says that it has more pixels than ``UDASS_MAX_PIXELS``.
        ValueError: a TIFF of more than 4 channels, for example of a satellite.
    """
    tags = _tiff_tags(content)
    channels = max(int(tags.get(_TIFF_CHANNELS, 1)), np.size(tags.get(_TIFF_BITS, 8)))
    if channels > 4:
        raise ValueError(
            f'{path} has {channels} channels; an image has 1, 3 or 4. Write the three channels that the '
            'network is to see to files of their own'
        )
    try:
        with Image.open(BytesIO(content)) as file:
            width, height = file.size
    except Image.DecompressionBombError:
        raise DamagedFileError(
            f'{path} says that it has more than {2 * MAX_PIXELS} pixels. {_explain_limit()}'
        ) from None
    except Exception:
        # Not a file that Pillow knows; the decoder will say what is wrong with it, if anything is.
        return
    if width * height > MAX_PIXELS:
        raise DamagedFileError(f'{path} says that it is {width}x{height} pixels large. {_explain_limit()}')


def _explain_limit() -> str:
    return (
        f'Images of up to {MAX_PIXELS} pixels are decoded; if it is right, raise the limit with the environment '
        'variable UDASS_MAX_PIXELS'
    )


def _tiff_tags(content: bytes) -> dict[int, int | tuple[int, ...]]:
    """Tags of a TIFF file; empty for any other file, or one whose head cannot be read."""
    if not content.startswith(_TIFF_STARTS):
        return {}
    try:
        tags = ImageFileDirectory_v2(content[:8])
        file = BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        return dict(tags)
    except Exception:
        # Damaged in one of many ways; the decoder will say so.
        return {}


def _raise_if_not_whole_numbers(path: str, content: bytes) -> None:
    """The error for a TIFF image that OpenCV does not decode because of its kind of values."""
    tags = _tiff_tags(content)
    kinds, bits = (np.atleast_1d(tags.get(tag, default)) for tag, default in ((_TIFF_KIND, 1), (_TIFF_BITS, 8)))
    if (kinds != 1).any() or (bits > 16).any():
        raise ValueError(
            f'{path} holds floating-point values, signed values or values of more than 16 bits; {_WHOLE_NUMBERS}'
        )


def _to_eight_bits(path: str, image: np.ndarray, bit_depth: int | None) -> np.ndarray:
    """Values of a 16-bit image, of which ``bit_depth`` bits are used, scaled to 0..255; see ``read_image``."""
    largest = int(image.max())
    if bit_depth is None:
        bit_depth = next(bits for bits in _BIT_DEPTHS if largest < 2**bits)
        if bit_depth < 16 and largest > 0:
            _warn_of_depth(os.path.dirname(path), bit_depth)
    elif largest >= 2**bit_depth:
        raise ValueError(
            f'{path} has values up to {largest}, which are more than {bit_depth} bits: correct bit_depth of LoadImage'
        )
    return cv2.convertScaleAbs(image, alpha=255 / (2**bit_depth - 1))


@lru_cache(maxsize=256)
def _warn_of_depth(folder: str, bit_depth: int) -> None:
    """Once per folder and depth."""
    warnings.warn(
        f'{folder} holds 16-bit images whose largest value has {bit_depth} bits; they are read as images of '
        f'{bit_depth} bits. Give LoadImage bit_depth={bit_depth} (or the number of the camera) to scale all '
        'images alike',
        stacklevel=4,
    )


def is_turned(path: str) -> bool:
    """Whether a readable image file has an orientation tag by which viewers turn it, and training does not."""
    if split_frame_path(path) is not None:
        return False
    try:
        with Image.open(BytesIO(_read_bytes(path))) as file:
            return file.getexif().get(_ORIENTATION, 1) != 1
    except Exception:
        # A format or a tag that Pillow does not know turns nothing.
        return False


def read_label_ids(path: str, channel: int | None = None) -> np.ndarray:
    """Read the raw ids of a label file.

    Args:
        path: a single-channel image or a palette image (its indices are the ids); 8 or 16 bit.
        channel: if the ids are in one channel of a colour image, its position in the file (0 = red). SYNTHIA: 0.

    Returns:
        (H, W), uint8 or wider, values >= 0.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is unreadable or truncated, or larger than ``UDASS_MAX_PIXELS``.
        ValueError: it has other channels than expected.
    """
    content = _read_bytes(path)
    if channel is not None:
        return _read_label_channel(path, content, channel)
    _check_header(path, content)
    # Not OpenCV: it turns palette indices into colours.
    try:
        with Image.open(BytesIO(content)) as file:
            ids = np.array(file)
    # Damaged files make Pillow's decoders fail in many ways (OSError, SyntaxError, zlib.error, struct.error, ...).
    except Exception as error:
        reason = 'it is no image' if isinstance(error, UnidentifiedImageError) else error
        raise DamagedFileError(
            f'{path} ({len(content)} bytes) cannot be decoded as a label: {reason}. {_REPLACE}'
        ) from error
    if ids.ndim != 2:
        raise ValueError(
            f'{path} has shape {ids.shape}; a label has one channel. If it holds the ids in one channel, '
            'set label_channel of the data set; colour-coded labels must be converted to ids'
        )
    if ids.dtype.kind == 'f':
        raise ValueError(f'{path} holds {ids.dtype} values; a label holds integer ids. Convert the label')
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def read_filtered_ids(
    path: str, channel: int | None = None, label_filter: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """As ``read_label_ids``, followed by the data set's ``LABEL_FILTER``, if it has one."""
    ids = read_label_ids(path, channel=channel)
    return ids if label_filter is None else label_filter(ids)


def _read_label_channel(path: str, content: bytes, channel: int) -> np.ndarray:
    """One channel of a colour label. Not Pillow: it cuts 16-bit colour files to 8 bits."""
    pixels = _decode(path, content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DamagedFileError(f'{path} ({len(content)} bytes) cannot be decoded as a label. {_REPLACE}')
    if pixels.ndim != 3 or not 0 <= channel < 3:
        raise ValueError(
            f'{path} has shape {pixels.shape}, which has no colour channel {channel} (0 red, 1 green, '
            '2 blue). Correct label_channel of the data set (None for single-channel labels)'
        )
    # OpenCV returns blue first (and alpha last).
    return cv2.extractChannel(pixels, 2 - channel)


@lru_cache(maxsize=8)
def _lookup(table: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Array over raw ids of up to 16 bits: the train id, or ``_NOT_LISTED``."""
    lookup = np.full(2**16, _NOT_LISTED, dtype=np.int16)
    for raw, new in table:
        if raw < lookup.size:
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
    raise ValueError(
        f'{path} holds the label ids {unknown}, which are not in the label table of its data set (ids '
        f'found: {[int(raw) for raw in found]}, ids listed: {sorted(table)}). Check that the file belongs '
        'to this data set, or add the ids to label_table (255 = ignore)'
    )


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
        found, places = np.unique(ids, return_inverse=True)
        if any(raw not in table for raw in found.tolist()):
            raise_unknown_ids(path, found, table)
        return np.array([table[raw] for raw in found.tolist()], np.uint8)[places.reshape(ids.shape)]
    labels = lookup.take(ids)
    if labels.min() == _NOT_LISTED:
        raise_unknown_ids(path, np.unique(ids), table)
    return labels.astype(np.uint8)


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path``.

    Adds ``img`` (H, W, 3) uint8 BGR (the data preprocessor makes it RGB), ``img_shape`` and ``ori_shape`` (H, W).

    Args:
        bit_depth: of 16-bit files, see ``read_image``.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """

    def __init__(self, bit_depth: int | None = None) -> None:
        super().__init__()
        if bit_depth is not None and not 8 <= bit_depth <= 16:
            raise ValueError(f'LoadImage: bit_depth is 8 to 16, got {bit_depth}')
        self.bit_depth = bit_depth

    def transform(self, results: dict) -> dict:
        """Add the image to the results."""
        image = read_image(results['img_path'], bit_depth=self.bit_depth)
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
            raise ValueError(
                f'{results["img_path"]} comes from a data set without labels (labelled=False): remove '
                'LoadLabels from its pipeline, or set labelled=True'
            )
        results['gt_seg_map'] = self.read(path, results)
        if 'gt_seg_map' not in results.setdefault('seg_fields', []):
            results['seg_fields'].append('gt_seg_map')
        return results

    def read(self, path: str, results: dict) -> np.ndarray:
        """Train ids (H, W) of a label file of this sample."""
        if 'label_table' not in results:
            raise ValueError(
                f'{path} belongs to a data set without a label table: LoadLabels reads those of this '
                'project, LoadAnnotations the others of MMSegmentation'
            )
        ids = read_filtered_ids(path, results.get('label_channel'), results.get('label_filter'))
        labels = map_labels(ids, results['label_table'], path)
        height, width = results['ori_shape']
        if labels.shape != (height, width):
            difference = max(abs(labels.shape[0] - height), abs(labels.shape[1] - width))
            if difference > self.max_size_difference:
                raise ValueError(
                    f'{path} is {labels.shape[1]}x{labels.shape[0]} pixels, its image '
                    f'{results["img_path"]} {width}x{height} (width x height). Check that they belong '
                    'together; if the data set is known for small differences, set max_size_difference '
                    'of LoadLabels'
                )
            labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        return labels

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_size_difference={self.max_size_difference})'
