"""A folder of computed optical flow: read where it is there, computed and stored where it is not."""

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmseg.registry import MODELS
from PIL import Image

from udass.flow.estimators import DISFlow, Estimator
from udass.flow.files import PrecomputedFlow, Size, decode_kitti, encode_kitti
from udass.io.images import IMAGE_SUFFIXES, read_image
from udass.io.writing import write_bytes

# To be raised whenever the same frames and settings give another flow.
_VERSION = 1
_NUMBERED = re.compile(r'(.*?)(\d+)(\D*)')
# A wrong setting makes every pair fail: do not try thousands.
_MAX_PROBLEMS = 20


@MODELS.register_module()
class FlowCache:
    """The flow between two image files at a given size, from files where possible.

    Files are ``<folder>/<estimator>/<width>x<height>/<path of the current frame>_<other frame>_<hash>.png``, KITTI PNG
    in steps of 1/64 pixel (``udass.flow.files``; motion beyond 512 pixels is clipped). The hash covers paths and sizes
    in bytes of both frames, so that replaced frames get a new flow. The rounded flow is returned whether it was read or
    just computed. Several processes may use a folder at once.

    Args:
        folder: for the computed flow; None = it is computed at every call.
        estimator: an estimator (``udass.flow.estimators``) or its config; None = ``DISFlow()``. ``PrecomputedFlow``
            reads its own files, and the folder stays unused.
        root: the frames' paths count from here, so that data and cache can be moved together; None = absolute paths.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        estimator: dict | Estimator | PrecomputedFlow | None = None,
        root: str | Path | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder).expanduser()
        self.estimator: Estimator | PrecomputedFlow = (
            MODELS.build(estimator) if isinstance(estimator, dict) else estimator or DISFlow()
        )
        self.root = None if root is None else Path(os.path.abspath(Path(root).expanduser()))
        self._warned = False

    @property
    def computes(self) -> bool:
        """Whether flow is computed (rather than only read)."""
        return not isinstance(self.estimator, PrecomputedFlow)

    def __call__(self, current: str | Path, other: str | Path, size: Size | None = None) -> np.ndarray:
        """Flow (H, W, 2) float32 in pixels of ``size``, from the current to the other frame.

        Args:
            current, other: image files of one size.
            size: (height, width) that the frames are resized to first; None = their own (precomputed: the files' own).

        Raises:
            FileNotFoundError, ValueError: a frame or a precomputed file is missing, damaged or has another shape.
        """
        if isinstance(self.estimator, PrecomputedFlow):
            return self.estimator(current, other, size)
        path = self.path(current, other, size)
        if path is not None and path.is_file():
            # A damaged file, or one of other frames, is written anew.
            with contextlib.suppress(OSError, ValueError):
                flow = decode_kitti(path.read_bytes(), path)[0]
                if flow.shape[:2] == tuple(size or _frame_size(current)):
                    return flow
        frames = [_read_frame(frame, size) for frame in (current, other)]
        try:
            flow = self.estimator(*frames)
        except ValueError as error:
            raise ValueError(f'no flow from {current} to {other}: {error}') from error
        content = encode_kitti(flow, np.ones(flow.shape[:2], bool))
        if path is not None:
            self._store(path, content)
        return decode_kitti(content, 'the computed flow')[0]

    def visible(self, current: str | Path, other: str | Path, size: Size | None = None) -> np.ndarray:
        """Which pixels (H, W) bool of the current frame are visible in the other one, see ``PrecomputedFlow.visible``;
        also a ValueError if the flow is estimated, which does not tell."""
        if isinstance(self.estimator, PrecomputedFlow):
            return self.estimator.visible(current, other, size)
        raise ValueError(
            f'{type(self.estimator).__name__} does not say which pixels are visible in the other frame; compute the '
            'backward flow, too, and compare the two (udass.flow.consistent)'
        )

    def has(self, current: str | Path, other: str | Path, size: Size | None = None) -> bool:
        """Whether the flow can be read without computing it."""
        path = self.path(current, other, size)
        return path is not None and path.is_file()

    def path(self, current: str | Path, other: str | Path, size: Size | None = None) -> Path | None:
        """The file that holds or will hold the flow, None without a folder; FileNotFoundError if a frame is missing."""
        if isinstance(self.estimator, PrecomputedFlow):
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
        # Nor may it be a pipe or a device, at which reading would wait for ever.
        if not absolute.is_file():
            raise FileNotFoundError(f'frame {path} does not exist; its flow cannot be computed')
        below_root = self.root is not None and absolute.is_relative_to(self.root)
        start = self.root if self.root is not None and below_root else absolute.anchor
        return absolute.relative_to(start), absolute.stat().st_size

    def _store(self, path: Path, content: bytes) -> None:
        try:
            write_bytes(path, content)
        except OSError as error:
            # Training can go on without; `fill` checks whether the file is there.
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f'computed flow cannot be stored ({error}) and will be computed at every call; choose a folder '
                    'that can be written',
                    stacklevel=3,
                )


def _read_frame(path: str | Path, size: Size | None) -> np.ndarray:
    """An image (H, W, 3) uint8 RGB, resized to (height, width)."""
    image = read_image(str(path))
    if size is not None and image.shape[:2] != tuple(size):
        shrinks = size[0] < image.shape[0]
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _frame_size(path: str | Path) -> Size:
    """(height, width) of an image, from its header, without decoding."""
    with Image.open(path) as frame:
        return frame.height, frame.width


@dataclass(frozen=True)
class FlowRequest:
    """One flow to be stored in a cache; arguments as of ``FlowCache.__call__``."""

    cache: FlowCache
    current: str
    other: str
    size: Size | None


@dataclass(frozen=True)
class FillReport:
    """What ``fill`` did: flows computed, flows that were there before, and messages about pairs that failed."""

    computed: int
    present: int
    problems: list[str]


def numbered_pairs(folder: str | Path, steps: Sequence[int] = (1,)) -> list[tuple[str, str]]:
    """Pairs (current, other) of frames below a folder: the other one is ``step`` frames earlier. Frames whose paths
    differ in the last number only are a sequence, in the order of the numbers, gaps or not. FileNotFoundError if the
    folder does not exist, ValueError if it holds no pair, or a step is not positive."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; give one that holds numbered frames')
    if min(steps) < 1:
        raise ValueError(f'steps lead back to earlier frames and are 1 or larger, got {list(steps)}')
    sequences: dict[tuple, list[tuple[int, str]]] = {}
    for path in folder.rglob('*'):
        match = _NUMBERED.fullmatch(path.stem)
        hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and match is not None and not hidden and path.is_file():
            key = (path.parent, match[1], match[3], path.suffix)
            sequences.setdefault(key, []).append((int(match[2]), str(path)))
    pairs = []
    for _, numbered in sorted(sequences.items()):
        frames = [path for _, path in sorted(numbered)]
        pairs += [(frame, frames[i - step]) for i, frame in enumerate(frames) for step in steps if i >= step]
    if not pairs:
        raise ValueError(
            f'{folder} holds no numbered images ({", ".join(IMAGE_SUFFIXES)}) with another one '
            f'{" or ".join(map(str, steps))} before it: number the frames, or give smaller steps'
        )
    return pairs


def fill(
    requests: Sequence[FlowRequest],
    workers: int = 1,
    progress: Callable[[Iterable[Future], int], Iterable[Future]] = lambda jobs, total: jobs,
) -> FillReport:
    """Compute what the caches lack. May be interrupted at any time (files are written whole) and called again.

    Args:
        requests: duplicates are computed once.
        workers: threads; estimators that allow only one call at a time get one.
        progress: called with an iterator that yields once per finished flow and their number; wraps it in a bar.
    """
    wanted: dict[Path, FlowRequest] = {}
    problems: list[str] = []
    for request in requests:
        try:
            path = request.cache.path(request.current, request.other, request.size)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        if path is None:
            raise ValueError('the cache has no folder to fill; set its folder in the config')
        wanted[path] = request
    missing = {path: request for path, request in wanted.items() if not path.is_file()}
    single = any(not getattr(request.cache.estimator, 'concurrent', True) for request in missing.values())
    threads = cv2.getNumThreads()
    if workers > 1 and not single:
        # One pair per core is faster than one pair on all cores.
        cv2.setNumThreads(1)
    computed = 0
    pool = ThreadPoolExecutor(1 if single else max(workers, 1))
    try:
        jobs = [pool.submit(_compute, request, path) for path, request in missing.items()]
        for job in progress(as_completed(jobs), len(jobs)):
            try:
                job.result()
                computed += 1
            except (OSError, ValueError) as error:
                problems.append(str(error))
                if len(problems) >= _MAX_PROBLEMS:
                    problems.append(f'stopped after {_MAX_PROBLEMS} problems')
                    break
    finally:
        # Also on Ctrl-C: what was begun is finished, nothing else is begun.
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)
    return FillReport(computed, len(wanted) - len(missing), problems)


def _compute(request: FlowRequest, path: Path) -> None:
    """Compute and store one flow; an error if its file is not there afterwards."""
    if request.cache.computes:
        request.cache(request.current, request.other, request.size)
    if not path.is_file():
        reason = 'could not be written' if request.cache.computes else 'does not exist; correct folder or naming'
        raise OSError(f'flow file {path} {reason}')
