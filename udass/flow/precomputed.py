"""Flow that others computed: which file belongs to which pair of frames."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmseg.registry import MODELS

from udass.flow.files import Flow, read_flow
from udass.flow.warping import resize_flow

_SUFFIX = '_int16_x10.npy'
# A flow file of another shape would be stretched; sizes are rounded to whole pixels.
_ASPECT_TOLERANCE = 0.02


@MODELS.register_module()
class PrecomputedFlow:
    """Flow files, found by the names of the two frames. It is called with those, as a ``FlowCache`` is.

    Args:
        folder: where the flow files are; None = ``naming`` starts at the folder of the current frame.
        naming: 'cityscapes', 'viper' or 'synthia', the schemes under which the flow of the video benchmarks is
            published, all in one folder:

            - cityscapes: ``<city>_<seq>_<t6>_leftImg8bit.png`` -> ``<city>_<seq>_<t6>_<other6>_int16_x10.npy``;
            - viper: ``<seq>_<t5>.jpg`` -> ``<seq>_<t5><other5>_int16_x10.npy``;
            - synthia: ``<t6>.png`` -> ``<t6>_int16_x10.npy``, which leads to t - 1;

            or a pattern with {current} and {other}, the names of the frames without suffix, e.g.
            '../flow/{current}_{other}.png'. It ends in .npy, .flo or .png (see ``udass.flow.files``).
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
        """Equal for what finds the same files."""
        return f'{self.folder} {self.naming}'

    def file(self, current: str | Path, other: str | Path) -> Path:
        """The flow file of a pair of frames, which need not exist.

        Raises:
            ValueError: the names do not fit the scheme, or it has no flow between such frames.
        """
        current, other = Path(current), Path(other)
        scheme = _SCHEMES.get(self.naming)
        if scheme is not None:
            name = scheme(current, other)
        else:
            name = self.naming.replace('{current}', current.stem).replace('{other}', other.stem)
        return (current.parent if self.folder is None else self.folder) / name

    def __call__(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """The flow (H, W, 2) float32 of a pair of frames, in pixels of ``size``.

        Args:
            current, other: paths of the frames, of which only the names matter.
            size: (height, width) to resize the flow to; None = as the file has it.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged or has another shape, or the names do not fit the scheme.
            TypeError: pictures were given.
        """
        if isinstance(current, np.ndarray):
            raise TypeError(
                'PrecomputedFlow finds files by the names of the frames and cannot be called with pictures '
                'as an estimator is; use it where a FlowCache stands'
            )
        flow, _ = self._read(current, other, size)
        if size is None or flow.shape[:2] == tuple(size):
            return flow
        resized = resize_flow(torch.from_numpy(flow).permute(2, 0, 1).unsqueeze(0), size)
        return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())

    def visible(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """Which pixels (H, W) bool of the current frame the file marks as valid: those that the other frame shows, too.

        Arguments and errors as of the call; besides, a ValueError for .npy files, which mark nothing.
        """
        path = self.file(current, other)
        if path.suffix == '.npy':
            raise ValueError(
                f'{path} does not say which pixels the other frame shows; give the backward flow, from '
                'which that can be told'
            )
        valid = self._read(current, other, size)[1]
        if size is None or valid.shape == tuple(size):
            return valid
        return cv2.resize(valid.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0

    def _read(self, current: str | Path, other: str | Path, size: tuple[int, int] | None) -> Flow:
        """The flow and the validity of a file as it is, which must have the shape of ``size``."""
        path = self.file(current, other)
        if not path.is_file():
            raise FileNotFoundError(
                f'flow file {path} from {Path(current).name} to {Path(other).name} does not '
                f'exist. Correct folder or naming ({self.naming}) of PrecomputedFlow, or let an '
                'estimator compute the flow, e.g. DISFlow'
            )
        flow, valid = read_flow(path)
        height, width = flow.shape[:2]
        if size is not None and abs((size[1] / width) / (size[0] / height) - 1) > _ASPECT_TOLERANCE:
            raise ValueError(
                f'{path} has {width}x{height} pixels, which is not the shape of frames of '
                f'{size[1]}x{size[0]}. It belongs to other or cropped frames'
            )
        return flow, valid


def _cityscapes(current: Path, other: Path) -> str:
    first = _parts(current, r'(?P<sequence>[^_]+_\d+)_(?P<frame>\d{6})_leftImg8bit', '<city>_<seq>_<t6>_leftImg8bit')
    second = _parts(other, r'(?P<sequence>[^_]+_\d+)_(?P<frame>\d{6})_leftImg8bit', '<city>_<seq>_<t6>_leftImg8bit')
    _check_sequence(current, other, first, second)
    return f'{first["sequence"]}_{first["frame"]}_{second["frame"]}{_SUFFIX}'


def _viper(current: Path, other: Path) -> str:
    first, second = (_parts(path, r'(?P<sequence>\d+)_(?P<frame>\d{5})', '<seq>_<t5>') for path in (current, other))
    _check_sequence(current, other, first, second)
    return f'{first["sequence"]}_{first["frame"]}{second["frame"]}{_SUFFIX}'


def _synthia(current: Path, other: Path) -> str:
    first, second = (int(_parts(path, r'(?P<frame>\d{6})', '<t6>')['frame']) for path in (current, other))
    if second != first - 1 or current.parent != other.parent:
        raise ValueError(
            f'the published flow of SYNTHIA-Seq leads from a frame to the one before it only, but was '
            f'asked for from {current} to {other}. Compute it, e.g. with DISFlow'
        )
    return f'{current.stem}{_SUFFIX}'


def _parts(path: Path, pattern: str, example: str) -> dict[str, str]:
    match = re.fullmatch(pattern, path.stem)
    if match is None:
        raise ValueError(
            f'{path} does not have the name of a frame of this data set ({example}{path.suffix}); correct '
            'naming of PrecomputedFlow'
        )
    return match.groupdict()


def _check_sequence(current: Path, other: Path, first: dict[str, str], second: dict[str, str]) -> None:
    if first['sequence'] != second['sequence']:
        raise ValueError(f'{current} and {other} are frames of different sequences; there is no flow between them')


_SCHEMES: dict[str, Callable[[Path, Path], str]] = {'cityscapes': _cityscapes, 'viper': _viper, 'synthia': _synthia}
