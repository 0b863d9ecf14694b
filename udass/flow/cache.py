"""A folder of computed flow: what it has is read, what it lacks is computed and kept."""

import hashlib
import json
import os
import warnings
from pathlib import Path

import cv2
import numpy as np
from mmseg.registry import MODELS
from PIL import Image

from udass.errors import DamagedFileError
from udass.flow.estimators import DISFlow, RAFTFlow
from udass.flow.files import decode_kitti, encode_kitti
from udass.flow.precomputed import PrecomputedFlow
from udass.io.writing import write_bytes

# Raise it whenever the same frames and settings give another flow.
_VERSION = 1


@MODELS.register_module()
class FlowCache:
    """The flow of two picture files at a given size, from files where possible.

    Files are ``<folder>/<estimator>/<width>x<height>/<path of the current frame>_<other frame>_<hash>.png``, KITTI PNG
    in steps of 1/64 pixel (``udass.flow.files``; motion beyond 512 pixels is clipped). The hash covers what the path
    does not show, the sizes in bytes of both frames among it, so that replaced frames get a new flow. Every caller gets
    the rounded flow, whether it was read or just computed. Several processes may use a folder at once.

    Args:
        folder: where computed flow is kept; None = nowhere, it is computed at every call.
        estimator: an estimator (``udass.flow.estimators``) or its config; None = ``DISFlow()``. ``PrecomputedFlow``
            reads its own files, and the folder stays unused.
        root: the frames' paths count from here, so that data and cache can be moved together; None = absolute paths.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        estimator: dict | DISFlow | RAFTFlow | PrecomputedFlow | None = None,
        root: str | Path | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder).expanduser()
        self.estimator = MODELS.build(estimator) if isinstance(estimator, dict) else estimator or DISFlow()
        self.root = None if root is None else Path(os.path.abspath(Path(root).expanduser()))
        self._complained = False

    @property
    def computes(self) -> bool:
        """Whether flow is computed (rather than only read)."""
        return not isinstance(self.estimator, PrecomputedFlow)

    def __call__(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """Flow (H, W, 2) float32 in pixels of ``size``, from the current to the other frame.

        Args:
            current, other: picture files of one size.
            size: (height, width) that the frames are resized to first; None = their own (precomputed: the files' own).

        Raises:
            FileNotFoundError: a frame or a precomputed file is missing.
            ValueError: a frame or a precomputed file is damaged or has another shape.
        """
        if not self.computes:
            return self.estimator(current, other, size)
        path = self.path(current, other, size)
        if path is not None and path.is_file():
            try:
                flow = decode_kitti(path.read_bytes(), path)[0]
                _check_size(flow, path, current, size)
                return flow
            except (OSError, ValueError) as error:
                warnings.warn(f'computing the flow again: {error}', stacklevel=2)
        content = self._compute(current, other, size)
        if path is not None:
            self._keep(path, content)
        return decode_kitti(content, 'the computed flow')[0]

    def visible(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """Which pixels (H, W) bool of the current frame the other one shows, see ``PrecomputedFlow.visible``.

        Raises:
            ValueError: the flow is estimated, which does not tell; and the errors of ``PrecomputedFlow``.
        """
        if self.computes:
            raise ValueError(
                f'{type(self.estimator).__name__} does not say which pixels the other frame shows; '
                'compute the backward flow, too, and compare the two (udass.flow.consistent)'
            )
        return self.estimator.visible(current, other, size)

    def has(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> bool:
        """Whether the flow can be read without computing it."""
        path = self.path(current, other, size)
        return path is not None and path.is_file()

    def path(self, current: str | Path, other: str | Path, size: tuple[int, int] | None = None) -> Path | None:
        """The file that holds or will hold the flow; None without a folder.

        Raises:
            FileNotFoundError: a frame is missing.
        """
        if not self.computes:
            return self.estimator.file(current, other)
        if self.folder is None:
            return None
        names, lengths = zip(*(self._identity(path) for path in (current, other)), strict=True)
        identity = json.dumps([_VERSION, *(name.as_posix() for name in names), *lengths])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
        folder = 'full' if size is None else f'{size[1]}x{size[0]}'
        name = f'{names[0].stem}_{names[1].stem}_{digest}.png'
        return self.folder / self.estimator.key / folder / names[0].parent / name

    def _identity(self, path: str | Path) -> tuple[Path, int]:
        """Path of a frame below the root, and its length in bytes."""
        absolute = Path(os.path.abspath(path))
        if not absolute.is_file():
            # Nor a pipe or a device, at which reading would wait for ever.
            raise FileNotFoundError(f'frame {path} does not exist; its flow cannot be computed')
        length = absolute.stat().st_size
        if self.root is not None and absolute.is_relative_to(self.root):
            return absolute.relative_to(self.root), length
        return absolute.relative_to(absolute.anchor), length

    def _compute(self, current: str | Path, other: str | Path, size: tuple[int, int] | None) -> bytes:
        frames = [_read_frame(path, size) for path in (current, other)]
        try:
            flow = self.estimator(*frames)
        except ValueError as error:
            raise ValueError(f'no flow from {current} to {other}: {error}') from error
        return encode_kitti(flow, np.ones(flow.shape[:2], bool))

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            write_bytes(path, content)
        except OSError as error:
            # Training can go on without; the tool that fills the folder looks whether the file is there.
            if not self._complained:
                self._complained = True
                warnings.warn(
                    f'computed flow cannot be kept ({error}) and will be computed at every call; choose a '
                    'folder that can be written',
                    stacklevel=3,
                )


def _read_frame(path: str | Path, size: tuple[int, int] | None) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB, resized to (height, width)."""
    content = np.fromfile(path, np.uint8)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(content, flags) if content.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise DamagedFileError(
            f'{path} ({content.size} bytes) cannot be decoded: it is truncated or no image. Copy or '
            'download it again, or remove it from the data set'
        )
    if size is not None and picture.shape[:2] != tuple(size):
        shrinks = size[0] < picture.shape[0]
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _check_size(flow: np.ndarray, path: Path, current: str | Path, size: tuple[int, int] | None) -> None:
    """Refuse a file whose flow has not the size that was asked for.

    Raises:
        DamagedFileError: it is that of other frames.
    """
    if size is None:
        # The head of the frame says it, without decoding.
        with Image.open(current) as frame:
            size = frame.size[::-1]
    if flow.shape[:2] != tuple(size):
        raise DamagedFileError(
            f'{path} has {flow.shape[1]}x{flow.shape[0]} pixels, its frames '
            f'{size[1]}x{size[0]} (width x height): it belongs to others'
        )
