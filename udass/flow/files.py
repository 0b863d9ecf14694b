"""Optical flow in files: KITTI 16-bit PNG, Middlebury .flo, int16 .npy, and the names of published flow files.

A flow is (H, W, 2) float32, (dx, dy) in pixels, current frame -> other frame; its validity (H, W) bool says which
pixels have a flow that may be used.

| suffix | content                                                                 | range and step     | validity |
| .png   | KITTI: 16-bit RGB = 64 dx + 2^15, 64 dy + 2^15, valid                   | -512..511.98, 1/64 | yes      |
| .flo   | Middlebury: 202021.25, width, height, then float32 (dx, dy) row by row  | any, exact         | yes      |
| .npy   | int16 (H, W, 2) = 10 dx, 10 dy, as `*_int16_x10.npy` are published       | +-3276.7, 1/10     | no       |

A PNG is compared with its checksums; the other formats have none, so that a flipped bit in them is not noticed.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmseg.registry import MODELS

from udass.errors import DamagedFileError
from udass.flow.warping import resize_flow
from udass.io.checksums import is_damaged_png
from udass.io.writing import write_bytes

_KITTI_SCALE, _KITTI_ZERO = 64.0, 2.0**15
_FLO_MAGIC, _FLO_UNKNOWN, _FLO_HEADER = 202021.25, 1e9, 12
_NPY_SCALE = 10.0
_REPLACE = 'Copy, download or compute the file again'

Flow = tuple[np.ndarray, np.ndarray]
Size = tuple[int, int]

# Published naming scheme: pattern of the frames' stems, the same for readers, and the name of the flow file.
_SCHEMES = {
    'cityscapes': (
        r'(?P<sequence>[^_]+_\d+)_(?P<frame>\d{6})_leftImg8bit',
        '<city>_<seq>_<t6>_leftImg8bit',
        '{sequence}_{frame}_{other}_int16_x10.npy',
    ),
    'viper': (r'(?P<sequence>\d+)_(?P<frame>\d{5})', '<seq>_<t5>', '{sequence}_{frame}{other}_int16_x10.npy'),
    'synthia': (r'(?P<sequence>)(?P<frame>\d{6})', '<t6>', '{frame}_int16_x10.npy'),
}
# A flow file of another shape would be stretched; sizes are rounded to whole pixels.
_ASPECT_TOLERANCE = 0.02


def read_flow(path: str | Path) -> Flow:
    """Read a flow file in the format that its suffix names: flow (H, W, 2) float32 in pixels, 0 where a .flo file marks
    it as unknown, and validity (H, W) bool. FileNotFoundError if there is none, DamagedFileError if it is not what its
    suffix says, ValueError if that names no format."""
    path = Path(path)
    decode = _format(path, {'.png': decode_kitti, '.flo': _decode_flo, '.npy': _decode_npy})
    if not path.is_file():
        raise FileNotFoundError(f'flow file {path} does not exist')
    return decode(path.read_bytes(), path)


def write_flow(path: str | Path, flow: np.ndarray, valid: np.ndarray | None = None) -> None:
    """Write flow (H, W, 2) and its validity (H, W) bool, None = everywhere, in the format that the suffix names;
    ValueError if the name, the shapes or the values do not fit it."""
    path = Path(path)
    if flow.ndim != 3 or flow.shape[2] != 2 or (valid is not None and valid.shape != flow.shape[:2]):
        shape = None if valid is None else valid.shape
        raise ValueError(f'{path}: expected flow (H, W, 2) and validity (H, W), got {flow.shape} and {shape}')
    encode = _format(path, {'.png': encode_kitti, '.flo': _encode_flo, '.npy': _encode_npy})
    try:
        content = encode(flow, np.ones(flow.shape[:2], bool) if valid is None else valid)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    write_bytes(path, content)


def encode_kitti(flow: np.ndarray, valid: np.ndarray) -> bytes:
    """Content of a KITTI PNG file. Flow beyond its range is clipped, NaN becomes 0; both are marked as not valid."""
    coded = np.round(flow * _KITTI_SCALE + _KITTI_ZERO)
    # NaN compares as False.
    fits = ((coded >= 0) & (coded <= 2**16 - 1)).all(axis=-1)
    coded = np.clip(np.nan_to_num(coded, nan=_KITTI_ZERO), 0, 2**16 - 1).astype(np.uint16)
    # OpenCV writes the channels in reverse.
    image = np.dstack([(valid & fits).astype(np.uint16), coded[..., 1], coded[..., 0]])
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode_kitti(content: bytes, path: str | Path) -> Flow:
    """Inverse of ``encode_kitti``; ``path`` is for messages."""
    size = len(content)
    if is_damaged_png(content):
        raise DamagedFileError(f'{path} ({size} bytes) is cut off, or differs from the checksums in it. {_REPLACE}')
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if image is None or image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        found = 'no image' if image is None else f'{image.dtype} of shape {image.shape}'
        raise _wrong_format(path, 'a KITTI 16-bit PNG with three channels', f'{found} ({size} bytes)')
    flow = (image[..., :0:-1].astype(np.float32) - _KITTI_ZERO) / _KITTI_SCALE
    return flow, image[..., 0] > 0


def _encode_flo(flow: np.ndarray, valid: np.ndarray) -> bytes:
    flow = np.where(valid[..., None] & np.isfinite(flow), flow, 10 * _FLO_UNKNOWN)
    header = np.array([_FLO_MAGIC], '<f4').tobytes() + np.array(flow.shape[1::-1], '<i4').tobytes()
    return header + flow.astype('<f4').tobytes()


def _decode_flo(content: bytes, path: Path) -> Flow:
    size = len(content)
    if size < _FLO_HEADER or np.frombuffer(content, '<f4', 1)[0] != np.float32(_FLO_MAGIC):
        raise _wrong_format(path, f'a Middlebury .flo, which starts with {_FLO_MAGIC}', f'{size} other bytes')
    width, height = (int(number) for number in np.frombuffer(content, '<i4', 2, offset=4))
    if width < 1 or height < 1 or size != _FLO_HEADER + 8 * width * height:
        raise DamagedFileError(f'{path} has {size} bytes, which are not {width}x{height} pixels of flow. {_REPLACE}')
    flow = np.frombuffer(content, '<f4', offset=_FLO_HEADER).reshape(height, width, 2).astype(np.float32)
    # Also False for NaN.
    valid = np.all(np.abs(flow) <= _FLO_UNKNOWN, axis=-1)
    return np.where(valid[..., None], flow, np.float32(0)), valid


def _encode_npy(flow: np.ndarray, valid: np.ndarray) -> bytes:
    coded = np.round(flow * _NPY_SCALE)
    limit = np.iinfo(np.int16).max
    if not valid.all() or not (np.abs(coded) <= limit).all():
        raise ValueError(
            f'an int16 .npy has no validity and holds up to {limit / _NPY_SCALE} pixels, but the flow has pixels that '
            'are not valid, not a number or larger; write a .png or .flo file'
        )
    buffer = io.BytesIO()
    np.save(buffer, coded.astype(np.int16))
    return buffer.getvalue()


def _decode_npy(content: bytes, path: Path) -> Flow:
    try:
        coded = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header makes the reader fail in any way
        text = f'{path} ({len(content)} bytes) cannot be read as an array: {error}. {_REPLACE}'
        raise DamagedFileError(text) from error
    if coded.dtype != np.int16 or coded.ndim != 3 or coded.shape[2] != 2:
        raise _wrong_format(path, 'int16 (H, W, 2) with ten times the pixels', f'{coded.dtype} {coded.shape}')
    return coded.astype(np.float32) / np.float32(_NPY_SCALE), np.ones(coded.shape[:2], bool)


def _format(path: Path, functions: dict) -> Callable:
    """The function for the suffix of the path."""
    if path.suffix.lower() not in functions:
        raise ValueError(f'{path} is not the name of a flow file; it must end in .png, .flo or .npy')
    return functions[path.suffix.lower()]


def _wrong_format(path: str | Path, expected: str, found: str) -> DamagedFileError:
    return DamagedFileError(f'{path} is not a flow file; expected {expected}, found {found}. {_REPLACE}')


@MODELS.register_module()
class PrecomputedFlow:
    """Flow files, found by the names of the two frames. Called with paths of frames, as a ``FlowCache`` is.

    Args:
        folder: where the flow files are; None = ``naming`` starts at the folder of the current frame.
        naming: 'cityscapes', 'viper' or 'synthia', the schemes under which the flow of the video benchmarks is
            published, all in one folder:

            - cityscapes: ``<city>_<seq>_<t6>_leftImg8bit.png`` -> ``<city>_<seq>_<t6>_<other6>_int16_x10.npy``;
            - viper: ``<seq>_<t5>.jpg`` -> ``<seq>_<t5><other5>_int16_x10.npy``;
            - synthia: ``<t6>.png`` -> ``<t6>_int16_x10.npy``, which leads to t - 1;

            or a pattern with {current} and {other}, the names of the frames without suffix, e.g.
            '../flow/{current}_{other}.png'. It ends in .npy, .flo or .png.
    """

    def __init__(self, folder: str | None = None, naming: str = 'cityscapes') -> None:
        if naming not in _SCHEMES and not ('{current}' in naming and naming.endswith(('.npy', '.flo', '.png'))):
            raise ValueError(
                f'PrecomputedFlow: naming is one of {list(_SCHEMES)} or a pattern such as '
                f"'{{current}}_{{other}}.flo', got {naming!r}"
            )
        self.folder = None if folder is None else Path(folder).expanduser()
        self.naming = naming

    @property
    def key(self) -> str:
        """Equal for instances that find the same files."""
        return f'{self.folder} {self.naming}'

    def file(self, current: str | Path, other: str | Path) -> Path:
        """The flow file of a pair of frames, which need not exist; ValueError if the names do not fit the scheme, or it
        has no flow between such frames."""
        current, other = Path(current), Path(other)
        if self.naming in _SCHEMES:
            name = self._published_name(current, other)
        else:
            name = self.naming.replace('{current}', current.stem).replace('{other}', other.stem)
        return (current.parent if self.folder is None else self.folder) / name

    def __call__(self, current: str | Path, other: str | Path, size: Size | None = None) -> np.ndarray:
        """The flow (H, W, 2) float32 of a pair of frames, in pixels of ``size``.

        Args:
            current, other: paths of the frames, of which only the names matter.
            size: (height, width) to resize the flow to; None = as the file has it.

        Raises:
            FileNotFoundError, ValueError: there is no such file, it is damaged or has another aspect ratio, or the
                names do not fit the scheme; TypeError if arrays were given.
        """
        if isinstance(current, np.ndarray):
            raise TypeError(
                'PrecomputedFlow finds files by the names of the frames and cannot be called with images as an '
                'estimator is; use it in place of a FlowCache'
            )
        flow, _ = self._read(current, other, size)
        if size is None or flow.shape[:2] == tuple(size):
            return flow
        resized = resize_flow(torch.from_numpy(flow).permute(2, 0, 1).unsqueeze(0), size)
        return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())

    def visible(self, current: str | Path, other: str | Path, size: Size | None = None) -> np.ndarray:
        """The validity (H, W) bool in the file: pixels of the current frame that are visible in the other one, too.
        Arguments and errors as of the call; also a ValueError for .npy files, which hold no validity."""
        path = self.file(current, other)
        if path.suffix == '.npy':
            raise ValueError(
                f'{path} does not say which pixels are visible in the other frame; give the backward flow, too, which '
                'tells it'
            )
        valid = self._read(current, other, size)[1]
        if size is None or valid.shape == tuple(size):
            return valid
        return cv2.resize(valid.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0

    def _read(self, current: str | Path, other: str | Path, size: Size | None) -> Flow:
        """Flow and validity of the file as it is; its aspect ratio must be that of ``size``."""
        path = self.file(current, other)
        if not path.is_file():
            raise FileNotFoundError(
                f'flow file {path} from {Path(current).name} to {Path(other).name} does not exist. Correct folder or '
                f'naming ({self.naming}) of PrecomputedFlow, or let an estimator compute the flow, e.g. DISFlow'
            )
        flow, valid = read_flow(path)
        height, width = valid.shape
        if size is not None and abs((size[1] / width) / (size[0] / height) - 1) > _ASPECT_TOLERANCE:
            raise ValueError(
                f'{path} has {width}x{height} pixels, which is not the shape of frames of {size[1]}x{size[0]}. It '
                'belongs to other or cropped frames: correct folder or naming of PrecomputedFlow'
            )
        return flow, valid

    def _published_name(self, current: Path, other: Path) -> str:
        pattern, example, name = _SCHEMES[self.naming]
        parts = []
        for path in (current, other):
            match = re.fullmatch(pattern, path.stem)
            if match is None:
                raise ValueError(
                    f'{path} does not have the name of a frame of this data set ({example}{path.suffix}); correct '
                    'naming of PrecomputedFlow'
                )
            parts.append(match.groupdict())
        first, second = parts
        if first['sequence'] != second['sequence']:
            raise ValueError(f'{current} and {other} are frames of different sequences; there is no flow between them')
        backward = int(second['frame']) == int(first['frame']) - 1 and current.parent == other.parent
        if self.naming == 'synthia' and not backward:
            raise ValueError(
                'the published flow of SYNTHIA-Seq leads from a frame to the one before it only, but was asked for '
                f'from {current} to {other}. Compute it, e.g. with DISFlow'
            )
        return name.format(**first, other=second['frame'])
