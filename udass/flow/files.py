"""Optical flow in files: KITTI 16-bit PNG, Middlebury .flo, and int16 .npy with tenths of pixels.

A flow is (H, W, 2) float32, (dx, dy) in pixels, current frame -> other frame; its validity (H, W) bool says which
pixels have a flow that may be used. Files appear whole or not at all.

| name   | content                                                                 | range and step     | validity |
| .png   | KITTI: 16-bit RGB = 64 dx + 2^15, 64 dy + 2^15, valid                   | -512..511.98, 1/64 | yes      |
| .flo   | Middlebury: 202021.25, width, height, then float32 (dx, dy) row by row  | any, exact         | yes      |
| .npy   | int16 (H, W, 2) = 10 dx, 10 dy, as `*_int16_x10.npy` are published       | +-3276.7, 1/10     | no       |

A PNG is compared with the checksums in it; the other two formats have none, so that a wrong bit in one of them is a
wrong flow.

What lies beyond the range of a PNG is clipped to it and marked as not valid; beyond that of .npy it is an error.
"""

import io
from pathlib import Path

import cv2
import numpy as np

from udass.errors import DamagedFileError
from udass.io.checksums import is_damaged_png
from udass.io.writing import write_bytes

_KITTI_SCALE, _KITTI_ZERO = 64.0, 2.0**15
_FLO_MAGIC, _FLO_UNKNOWN, _FLO_HEADER = 202021.25, 1e9, 12
_NPY_SCALE = 10.0
_REPLACE = 'Copy, download or compute the file again'

Flow = tuple[np.ndarray, np.ndarray]


def read_flow(path: str | Path) -> Flow:
    """Read a flow file; its format is told by the end of its name.

    Returns:
        tuple: flow (H, W, 2) float32 in pixels and validity (H, W) bool. Flow that a .flo file marks as unknown is 0.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is damaged, or holds something else than its name says.
        ValueError: its name tells no format.
    """
    path = Path(path)
    decode = {'.png': decode_kitti, '.flo': _decode_flo, '.npy': _decode_npy}.get(path.suffix.lower())
    if decode is None:
        raise ValueError(f'{path}: the end of its name tells no format of flow; expected .png, .flo or .npy')
    if not path.is_file():
        raise FileNotFoundError(f'flow file {path} does not exist')
    return decode(path.read_bytes(), path)


def write_flow(path: str | Path, flow: np.ndarray, valid: np.ndarray | None = None) -> None:
    """Write a flow in the format that the end of the name tells; folders are made.

    Args:
        path: ends in .png, .flo or .npy.
        flow: (H, W, 2) in pixels.
        valid: (H, W) bool; None = everywhere.

    Raises:
        ValueError: the name, the shapes or the values do not fit the format.
    """
    path = Path(path)
    if flow.ndim != 3 or flow.shape[2] != 2 or (valid is not None and valid.shape != flow.shape[:2]):
        raise ValueError(
            f'{path}: expected flow (H, W, 2) and validity (H, W), got {flow.shape} and '
            f'{None if valid is None else valid.shape}'
        )
    encode = {'.png': encode_kitti, '.flo': _encode_flo, '.npy': _encode_npy}.get(path.suffix.lower())
    if encode is None:
        raise ValueError(f'{path}: the end of its name tells no format of flow; expected .png, .flo or .npy')
    try:
        content = encode(flow, np.ones(flow.shape[:2], bool) if valid is None else valid)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    write_bytes(path, content)


def encode_kitti(flow: np.ndarray, valid: np.ndarray) -> bytes:
    """Content of a KITTI PNG file, with flow in steps of 1/64 pixel.

    Flow beyond -512..511.98 is clipped, flow that is no number becomes 0; both are marked as not valid.
    """
    coded = np.round(flow * _KITTI_SCALE + _KITTI_ZERO)
    # Not a number compares as False.
    fits = ((coded >= 0) & (coded <= 2**16 - 1)).all(axis=-1)
    coded = np.clip(np.nan_to_num(coded, nan=_KITTI_ZERO), 0, 2**16 - 1).astype(np.uint16)
    # OpenCV writes the channels in reverse.
    image = np.dstack([(valid & fits).astype(np.uint16), coded[..., 1], coded[..., 0]])
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode_kitti(content: bytes, path: str | Path) -> Flow:
    """Inverse of ``encode_kitti``; ``path`` is for messages."""
    if is_damaged_png(content):
        raise DamagedFileError(
            f'{path} ({len(content)} bytes) is cut off, or differs from the checksums in it. {_REPLACE}'
        )
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if image is None or image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        found = 'no picture' if image is None else f'{image.dtype} of shape {image.shape}'
        raise DamagedFileError(
            f'{path} is not a flow file; expected a KITTI 16-bit PNG with three channels, found '
            f'{found} ({len(content)} bytes). {_REPLACE}'
        )
    flow = (image[..., :0:-1].astype(np.float32) - _KITTI_ZERO) / _KITTI_SCALE
    return flow, image[..., 0] > 0


def _encode_flo(flow: np.ndarray, valid: np.ndarray) -> bytes:
    flow = np.where(valid[..., None] & np.isfinite(flow), flow, 10 * _FLO_UNKNOWN)
    header = np.float32(_FLO_MAGIC).astype('<f4').tobytes() + np.array(flow.shape[1::-1], '<i4').tobytes()
    return header + flow.astype('<f4').tobytes()


def _decode_flo(content: bytes, path: Path) -> Flow:
    if len(content) < _FLO_HEADER or np.frombuffer(content, '<f4', 1)[0] != np.float32(_FLO_MAGIC):
        raise DamagedFileError(
            f'{path} is not a flow file; expected a Middlebury .flo, which starts with {_FLO_MAGIC} '
            f'({len(content)} bytes). {_REPLACE}'
        )
    width, height = (int(number) for number in np.frombuffer(content, '<i4', 2, offset=4))
    expected = _FLO_HEADER + 8 * width * height
    if width < 1 or height < 1 or len(content) != expected:
        raise DamagedFileError(
            f'{path} says that it holds {width}x{height} pixels, which take {expected} bytes, but '
            f'has {len(content)}. {_REPLACE}'
        )
    flow = np.frombuffer(content, '<f4', offset=_FLO_HEADER).reshape(height, width, 2).astype(np.float32)
    # Also False for what is not a number.
    valid = (np.abs(flow) <= _FLO_UNKNOWN).all(axis=-1)
    return np.where(valid[..., None], flow, np.float32(0)), valid


def _encode_npy(flow: np.ndarray, valid: np.ndarray) -> bytes:
    coded = np.round(flow * _NPY_SCALE)
    limit = np.iinfo(np.int16).max
    if not valid.all() or not (np.abs(coded) <= limit).all():
        raise ValueError(
            f'an int16 .npy has no validity and holds up to {limit / _NPY_SCALE} pixels, but the flow has '
            'pixels that are not valid, not a number or larger; write a .png or .flo file'
        )
    buffer = io.BytesIO()
    np.save(buffer, coded.astype(np.int16))
    return buffer.getvalue()


def _decode_npy(content: bytes, path: Path) -> Flow:
    try:
        coded = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged head makes the reader fail in any way
        raise DamagedFileError(
            f'{path} ({len(content)} bytes) cannot be read as an array: {error}. {_REPLACE}'
        ) from error
    if coded.dtype != np.int16 or coded.ndim != 3 or coded.shape[2] != 2:
        raise DamagedFileError(
            f'{path} is not a flow file; expected int16 (H, W, 2) with ten times the pixels, found '
            f'{coded.dtype} {coded.shape}. {_REPLACE}'
        )
    return coded.astype(np.float32) / np.float32(_NPY_SCALE), np.ones(coded.shape[:2], bool)
