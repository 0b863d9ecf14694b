"""Street scenes as ordinary dataset folders, written once and completed where a run was cut short.

``<root>/<domain>/<split>/{images,labels}/000000.png`` for images (labels: 8-bit train ids) and
``<root>/<domain>_clips/<split>/<clip>/{images,labels}/00000.png`` with ``flow/00001_00000.png`` (frame 1 to frame 0;
KITTI 16-bit PNG) for clips. ``<root>/streets.json`` records how they were drawn.
"""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from udass.io.writing import write_bytes, write_text
from udass.streets.domain import DOMAINS
from udass.streets.render import render_clip, render_image

VERSION = 2  # of the images; raise it whenever a seed gives other bytes
RECORD = 'streets.json'
SPLITS = ('train', 'val')
DEFAULT_COUNTS: Mapping[str, Mapping[str, int]] = {
    'game': {'train': 300, 'val': 50},
    'camera': {'train': 300, 'val': 100},
}
DEFAULT_CLIP_COUNTS: Mapping[str, Mapping[str, int]] = {
    'game': {'train': 60, 'val': 10},
    'camera': {'train': 60, 'val': 20},
}
CLIP_LENGTH = 4
_KINDS = {'image': 0, 'clip': 1}

Counts = Mapping[str, Mapping[str, int]]
Progress = Callable[[Iterator[None], int], Iterator[None]]


class Job(NamedTuple):
    """One image or clip to draw."""

    kind: str
    root: Path
    domain: str
    split: str
    index: int
    seed: int
    size: tuple[int, int]
    clip_length: int

    def paths(self) -> tuple[Path, Path]:
        """First and last file to write: image and label of an image; folder and last file of a clip."""
        if self.kind == 'image':
            folder = self.root / self.domain / self.split
            return folder / 'images' / f'{self.index:06d}.png', folder / 'labels' / f'{self.index:06d}.png'
        folder = self.root / f'{self.domain}_clips' / self.split / f'{self.index:04d}'
        return folder, folder / 'complete.txt'

    def is_done(self) -> bool:
        return all(path.exists() for path in self.paths())


def scene_generator(*, seed: int, kind: str, domain: str, split: str, index: int) -> np.random.Generator:
    """The generator of image or clip ``index`` of a split; it does not depend on how many there are."""
    return np.random.default_rng((seed, _KINDS[kind], DOMAINS[domain].key, SPLITS.index(split), index))


def write_streets(
    root: str | Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (192, 384),
    counts: Counts | None = None,
    clip_counts: Counts | None = None,
    clip_length: int = CLIP_LENGTH,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the images (and, where ``clip_counts`` asks for them, the clips) that are not there yet.

    Args:
        root: Folder to fill.
        seed: Seed of everything; not negative.
        size: (height, width) in pixels, both at least 32.
        counts: Images by domain and split; None means :data:`DEFAULT_COUNTS`.
        clip_counts: Clips by domain and split; None means no clips.
        clip_length: Frames of a clip.
        force: Replace what was drawn with another seed, size, clip length or version.
        workers: Processes; None means one per available core.
        progress: Called with an iterator that yields once per finished item and their number; wraps it in a bar.

    Returns:
        How many images and clips were drawn; 0 if all were there.

    Raises:
        ValueError: for an unknown domain or split, a bad size or length, or a root with other streets and no ``force``.
    """
    root, counts, clip_counts = Path(root), counts or DEFAULT_COUNTS, clip_counts or {}
    if seed < 0 or min(size) < 32 or clip_length < 2:
        raise ValueError(
            f'the seed must be at least 0, the size 32x32 and the clip length 2, got seed {seed}, size {tuple(size)} '
            f'and clip length {clip_length}'
        )
    settings = {'version': VERSION, 'seed': seed, 'size': list(size), 'clip_length': clip_length}
    for numbers in (counts, clip_counts):
        _check_counts(numbers)
    stale = _claim(root, settings, force)
    jobs = [
        Job(kind, root, domain, split, index, seed, tuple(size), clip_length)
        for kind, numbers in (('image', counts), ('clip', clip_counts))
        for domain, splits in numbers.items()
        for split, number in splits.items()
        for index in range(number)
    ]
    jobs = [job for job in jobs if stale or not job.is_done()]
    items = _run(jobs, workers)
    for _ in items if progress is None else progress(items, len(jobs)):
        pass
    _record(root, settings, complete=True)
    return len(jobs)


def _check_counts(counts: Counts) -> None:
    for domain, splits in counts.items():
        if domain not in DOMAINS:
            raise ValueError(f'unknown domain {domain!r} of streets; expected one of {sorted(DOMAINS)}')
        for split, number in splits.items():
            if split not in SPLITS or number < 0:
                raise ValueError(
                    f'streets {domain!r} take numbers of images, at least 0, for {list(SPLITS)}, got '
                    f'{split!r}: {number}'
                )


def _claim(root: Path, settings: dict, force: bool) -> bool:
    """Check the record of an existing folder or start one. True if its content must be replaced."""
    stale = False
    if (root / RECORD).exists():
        try:
            record = json.loads((root / RECORD).read_text())
        except json.JSONDecodeError as error:
            message = f'{root / RECORD} is not readable ({error}); delete {root} and generate the streets again'
            raise ValueError(message) from error
        found = {key: record.get(key) for key in settings}
        if found != settings and not force:
            raise ValueError(
                f'{root} holds streets drawn with {found}, but {settings} was requested. Choose another root, or '
                'replace them with force=True (--force)'
            )
        stale = bool(record.get('replacing')) or found != settings
    _record(root, settings, complete=False, replacing=stale)
    return stale


def _record(root: Path, settings: dict, complete: bool, replacing: bool = False) -> None:
    counts = {
        f'{folder.parent.name}/{folder.name}': len(
            list((folder / 'images').glob('*.png')) if (folder / 'images').is_dir() else list(folder.iterdir())
        )
        for folder in sorted(root.glob('*/*'))
        if folder.is_dir()
    }
    record = {**settings, 'complete': complete, 'replacing': replacing, 'counts': counts}
    write_text(root / RECORD, json.dumps(record, indent=2) + '\n')


def _cores() -> int:
    """Cores that this process may use, where the system tells (Linux), else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _run(jobs: list[Job], workers: int | None) -> Iterator[None]:
    workers = min(workers or _cores(), max(len(jobs) // 8, 1))
    if workers <= 1:
        for job in jobs:
            yield _write(job)
        return
    with multiprocessing.get_context('spawn').Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.imap_unordered(_write, jobs, chunksize=4)


def _write(job: Job) -> None:
    domain = DOMAINS[job.domain]
    generator = scene_generator(seed=job.seed, kind=job.kind, domain=job.domain, split=job.split, index=job.index)
    first, last = job.paths()
    if job.kind == 'image':
        image, label = render_image(domain, generator, job.size)
        _write_png(first, image[..., ::-1])
        _write_png(last, label)
        return
    # Imports PyTorch, which images do not need, in every process.
    from udass.flow.files import write_flow

    clip = render_clip(domain, generator, job.size, job.clip_length)
    for number, (frame, label) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        _write_png(first / 'images' / f'{number:05d}.png', frame[..., ::-1])
        _write_png(first / 'labels' / f'{number:05d}.png', label)
    for (start, end), flow in clip.flows.items():
        write_flow(first / 'flow' / f'{start:05d}_{end:05d}.png', flow, clip.valid[start, end])
    write_bytes(last, b'')


def _write_png(path: Path, image: np.ndarray) -> None:
    write_bytes(path, cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())
