"""Read image files as arrays, or raise an error that names the file."""

import os
import warnings
from io import BytesIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from udass.errors import DamagedFileError
from udass.io.checksums import is_damaged_png
from udass.io.video import read_video_frame, split_frame_path
from udass.io.zip_files import read_file

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
# Larger images are refused before they are decoded: a few bytes of file can stand for gigabytes of pixels.
MAX_PIXELS = int(os.environ.get('UDASS_MAX_PIXELS', str(2**28)))
# Pillow has a limit of its own, at twice this number.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
REPLACE = 'The file is damaged: copy or download it again, or remove it (and its label) from the data set'
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_TIFF_STARTS = (b'II*\0', b'MM\0*')
_TIFF_BITS, _TIFF_CHANNELS, _TIFF_KIND = 258, 277, 339
_ORIENTATION = 274
# Of sensors whose values are stored in the lower bits of 16.
_BIT_DEPTHS = (10, 12, 14, 16)
_CONVERT = 'an image holds integers of 8 or 16 bits. Convert the images to 8 bits'


def read_image(path: str, upright: bool = False, bit_depth: int | None = None) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 BGR.

    Files have 8 or 16 bits and 1, 3 or 4 channels (alpha is dropped). Values of 16-bit files are scaled to 0..255.

    Args:
        path: an image file, or a frame of a video file as ``frame_path`` names it.
        upright: rotate the image as its orientation tag says. By default the tag is ignored, as labels carry none.
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
    content = read_content(path)
    # At the depth of the file: OpenCV would cut 16 bits to 8.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    image = None if _is_cut_jpeg(content) else decode(path, content, flags)
    if image is None:
        _check_kind_of_values(path, content)
        raise DamagedFileError(f'{described(path, content)}: it is truncated or not an image. {REPLACE}')
    if image.dtype == np.uint16:
        return _to_eight_bits(path, image, bit_depth)
    if image.dtype != np.uint8:
        raise ValueError(f'{path} holds {image.dtype} values; {_CONVERT}')
    return image


def is_rotated(path: str) -> bool:
    """Whether an image file has an orientation tag by which viewers rotate it, while training does not."""
    if split_frame_path(path) is not None:
        return False
    try:
        with Image.open(BytesIO(read_content(path))) as file:
            return file.getexif().get(_ORIENTATION, 1) != 1
    except Exception:  # A format or a tag that Pillow does not know.
        return False


def read_content(path: str) -> bytes:
    """Content of an image file; FileNotFoundError if there is none, DamagedFileError if it is empty, or a PNG file that
    differs from its checksums."""
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{path} does not exist any more, or a list names it wrongly: restore it, or correct the list'
        ) from error
    if not content:
        raise DamagedFileError(f'{path} is empty. {REPLACE}')
    if is_damaged_png(content):
        reason = 'it is truncated, or differs from the checksums in it'
        raise DamagedFileError(f'{described(path, content)}: {reason}. {REPLACE}')
    return content


def decode(path: str, content: bytes, flags: int) -> np.ndarray | None:
    """Decode the content of an image file with OpenCV; None if it cannot. Errors as of ``check_header``."""
    check_header(path, content)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise DamagedFileError(f'{described(path, content)}: {error.err}. {REPLACE}') from error


def check_header(path: str, content: bytes) -> None:
    """Raises DamagedFileError if an image has more pixels than ``UDASS_MAX_PIXELS`` according to its header, and
    ValueError for a TIFF file of more than 4 channels, for example of a satellite."""
    tags = _tiff_tags(content)
    channels = max(int(np.max(tags.get(_TIFF_CHANNELS, 1))), np.size(tags.get(_TIFF_BITS, 8)))
    if channels > 4:
        raise ValueError(
            f'{path} has {channels} channels; an image has 1, 3 or 4. Write the three channels that the '
            'network is to see to files of their own'
        )
    try:
        with Image.open(BytesIO(content)) as file:
            width, height = file.size
    except Image.DecompressionBombError:
        size = f'more than {2 * MAX_PIXELS} pixels'
    except Exception:  # Pillow does not know the format. The decoder reports what is wrong with the file, if anything.
        return
    else:
        if width * height <= MAX_PIXELS:
            return
        size = f'{width}x{height} pixels'
    raise DamagedFileError(
        f'{path} says that it has {size}. Images of up to {MAX_PIXELS} pixels are decoded; if it is right, raise the '
        'limit with the environment variable UDASS_MAX_PIXELS'
    )


def described(path: str, content: bytes) -> str:
    """How messages about a file that cannot be decoded start."""
    return f'{path} ({len(content)} bytes) cannot be decoded'


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG ends before its end marker: some versions of OpenCV return grey pixels for such files."""
    if not content.startswith(_JPEG_START) or content.endswith(_JPEG_END):
        return False
    # Image data cannot contain the end marker; that of an embedded preview comes before the last scan.
    return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)


def _tiff_tags(content: bytes) -> dict[int, int | tuple[int, ...]]:
    """Tags of a TIFF file; empty for any other file, and for one whose header cannot be read."""
    if not content.startswith(_TIFF_STARTS):
        return {}
    try:
        tags = ImageFileDirectory_v2(content[:8])
        file = BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        return dict(tags)
    except Exception:  # The file is damaged in one of many ways, which the decoder reports.
        return {}


def _check_kind_of_values(path: str, content: bytes) -> None:
    """Refuse a TIFF file of values that OpenCV does not decode."""
    tags = _tiff_tags(content)
    kinds, bits = (np.atleast_1d(tags.get(tag, default)) for tag, default in ((_TIFF_KIND, 1), (_TIFF_BITS, 8)))
    if (kinds != 1).any() or (bits > 16).any():
        raise ValueError(f'{path} holds floating-point, signed or more than 16-bit values; {_CONVERT}')


def _to_eight_bits(path: str, image: np.ndarray, bit_depth: int | None) -> np.ndarray:
    """Scale the values of a 16-bit image, of which ``bit_depth`` bits are used, to 0..255."""
    largest = int(image.max())
    if bit_depth is None:
        bit_depth = next(bits for bits in _BIT_DEPTHS if largest < 2**bits)
        if bit_depth < 16 and largest > 0:
            warnings.warn(  # Once per folder and depth, as equal warnings are shown once.
                f'{os.path.dirname(path)} holds 16-bit images whose largest value has {bit_depth} bits; they are read '
                f'as images of {bit_depth} bits. Give LoadImage bit_depth={bit_depth} (or the number of the camera) to '
                'scale all images alike',
                stacklevel=3,
            )
    elif largest >= 2**bit_depth:
        raise ValueError(
            f'{path} has values up to {largest}, which are more than {bit_depth} bits: correct bit_depth of LoadImage'
        )
    return cv2.convertScaleAbs(image, alpha=255 / (2**bit_depth - 1))
