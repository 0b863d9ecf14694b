"""Filling caches of flow ahead of training: which pairs, in parallel, and stoppable at any time."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2

from udass.flow.cache import FlowCache
from udass.io.images import IMAGE_SUFFIXES

_NUMBERED = re.compile(r'(.*?)(\d+)(\D*)')
# A setting that is wrong makes every pair fail: do not try thousands.
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class FlowRequest:
    """One flow that a cache shall have; arguments as of ``FlowCache.__call__``."""

    cache: FlowCache
    current: str
    other: str
    size: tuple[int, int] | None

    def there(self) -> bool:
        """Whether there is a file."""
        return self.cache.has(self.current, self.other, self.size)

    def compute(self) -> None:
        """Compute and keep the flow.

        Raises:
            FileNotFoundError: of precomputed flow, or a missing frame.
            OSError: the file could not be written.
            ValueError: a frame is damaged, or the estimator refuses it.
        """
        if self.cache.computes and self.cache.folder is None:
            raise ValueError('the cache has no folder that could be filled; set its folder in the config')
        if self.cache.computes:
            self.cache(self.current, self.other, self.size)
        if not self.there():
            path = self.cache.path(self.current, self.other, self.size)
            raise OSError(f'flow file {path} ' + ('could not be written' if self.cache.computes else 'does not exist'))


@dataclass(frozen=True)
class FillReport:
    """What ``fill`` did: flows computed, flows that were there before, and messages about pairs that failed."""

    computed: int
    present: int
    problems: list[str]


def numbered_pairs(folder: str | Path, steps: Sequence[int] = (1,)) -> list[tuple[str, str]]:
    """Pairs (current, other) of frames below a folder: the other one is ``step`` frames earlier.

    Frames whose paths differ in the last number only are a sequence, in the order of the numbers, gaps or not.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it holds no two numbered pictures of a sequence, or a step is not positive.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is no folder; name one that holds numbered frames')
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
    for _, frames in sorted(sequences.items()):
        frames.sort()
        pairs += [
            (frames[place][1], frames[place - step][1])
            for place in range(len(frames))
            for step in steps
            if place >= step
        ]
    if not pairs:
        raise ValueError(
            f'{folder} holds no numbered pictures ({", ".join(IMAGE_SUFFIXES)}) with another one '
            f'{" or ".join(map(str, steps))} before it'
        )
    return pairs


def fill(
    requests: Sequence[FlowRequest],
    workers: int = 1,
    progress: Callable[[Iterable[Future], int], Iterable[Future]] | None = None,
) -> FillReport:
    """Compute what the caches lack. May be interrupted at any time (files are written whole) and called again.

    Args:
        requests: doubles are computed once.
        workers: threads; estimators that allow only one call at a time get one.
        progress: called with an iterator that yields once per finished flow and their number; wraps it in a bar.
    """
    missing, present, problems = [], 0, []
    for request in {_identity(request): request for request in requests}.values():
        try:
            there = request.there()
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        present += there
        missing += [] if there else [request]
    single = any(request.cache.computes and not request.cache.estimator.concurrent for request in missing)
    threads = cv2.getNumThreads()
    if workers > 1 and not single:
        # One pair per core is faster than one pair on all cores.
        cv2.setNumThreads(1)
    computed = 0
    pool = ThreadPoolExecutor(1 if single else max(workers, 1))
    try:
        jobs = [pool.submit(request.compute) for request in missing]
        for job in (progress or _silent)(as_completed(jobs), len(jobs)):
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
    return FillReport(computed, present, problems)


def _identity(request: FlowRequest) -> tuple:
    """Equal for two requests that one file answers."""
    cache = request.cache
    return cache.folder, cache.root, cache.estimator.key, request.current, request.other, request.size


def _silent(jobs: Iterable[Future], total: int) -> Iterator[Future]:
    yield from jobs
