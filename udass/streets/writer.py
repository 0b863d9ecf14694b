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

import cv2
import numpy as np

from udass.io.writing import write_bytes, write_text
from udass.streets.domain import DOMAINS
from udass.streets.render import render_clip, render_image

VERSION = 2  # of the pictures: raise it whenever a seed gives other bytes
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
Job = tuple[
    str, str, str, str, int, int, tuple[int, int], int
]  # kind, root, domain, split, index, seed, size, clip length
Progress = Callable[[Iterator[None], int], Iterator[None]]


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
            f'Expected a seed >= 0, a size of at least 32 x 32 and clips of at least 2 frames, got seed {seed}, size '
            f'{tuple(size)}, clip length {clip_length}.'
        )
    for wish in (counts, clip_counts):
        _check_counts(wish)
    stale = _claim(root, seed=seed, size=size, clip_length=clip_length, force=force)
    jobs = [
        (kind, str(root), domain, split, index, seed, tuple(size), clip_length)
        for kind, wish in (('image', counts), ('clip', clip_counts))
        for domain, splits in wish.items()
        for split, number in splits.items()
        for index in range(number)
    ]
    jobs = [job for job in jobs if stale or not _done(job)]
    for _ in (progress or _silent)(_run(jobs, workers), len(jobs)):
        pass
    _record(root, seed=seed, size=size, clip_length=clip_length, complete=True)
    return len(jobs)


def _silent(items: Iterator[None], total: int) -> Iterator[None]:
    return items


def _check_counts(counts: Counts) -> None:
    for domain, splits in counts.items():
        if domain not in DOMAINS:
            raise ValueError(f'Unknown domain {domain!r} of streets; expected one of {sorted(DOMAINS)}.')
        for split, number in splits.items():
            if split not in SPLITS or number < 0:
                raise ValueError(
                    f'Bad count {split!r}: {number} for streets {domain!r}; expected a number >= 0 '
                    f'for one of {list(SPLITS)}.'
                )


def _claim(root: Path, *, seed: int, size: tuple[int, int], clip_length: int, force: bool) -> bool:
    """Check the record of an existing folder or start one. True if what is there must be replaced."""
    path, wish = root / RECORD, {'version': VERSION, 'seed': seed, 'size': list(size), 'clip_length': clip_length}
    stale = False
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(
                f'{path} is not readable ({error}); delete {root} and generate the streets again.'
            ) from error
        found = {key: found.get(key) for key in [*wish, 'replacing']}
        stale = bool(found.pop('replacing'))
        if found != wish:
            if not force:
                raise ValueError(
                    f'{root} holds streets drawn with {found}, but {wish} was asked for. Choose another root, or '
                    'replace them with force=True (--force).'
                )
            stale = True
    root.mkdir(parents=True, exist_ok=True)
    _record(root, seed=seed, size=size, clip_length=clip_length, complete=False, replacing=stale)
    return stale


def _record(
    root: Path, *, seed: int, size: tuple[int, int], clip_length: int, complete: bool, replacing: bool = False
) -> None:
    found = {
        f'{folder.parent.name}/{folder.name}': len(
            list((folder / 'images').glob('*.png')) if (folder / 'images').is_dir() else list(folder.iterdir())
        )
        for folder in sorted(root.glob('*/*'))
        if folder.is_dir()
    }
    record = {
        'version': VERSION,
        'seed': seed,
        'size': list(size),
        'clip_length': clip_length,
        'complete': complete,
        'replacing': replacing,
        'counts': found,
    }
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


def _paths(job: Job) -> tuple[Path, Path]:
    """Where a job writes: image and label of an image; folder and last file of a clip."""
    kind, root, domain, split, index = job[:5]
    if kind == 'image':
        folder = Path(root) / domain / split
        return folder / 'images' / f'{index:06d}.png', folder / 'labels' / f'{index:06d}.png'
    folder = Path(root) / f'{domain}_clips' / split / f'{index:04d}'
    return folder, folder / 'complete.txt'


def _done(job: Job) -> bool:
    return all(path.exists() for path in _paths(job))


def _write(job: Job) -> None:
    kind, _, domain, split, index, seed, size, clip_length = job
    generator = scene_generator(seed=seed, kind=kind, domain=domain, split=split, index=index)
    first, last = _paths(job)
    if kind == 'image':
        image, label = render_image(DOMAINS[domain], generator, size)
        _write_png(first, image[..., ::-1])
        _write_png(last, label)
        return
    # Imports PyTorch, which images do not need, in every process.
    from udass.flow.files import write_flow

    clip = render_clip(DOMAINS[domain], generator, size, clip_length)
    for number, (frame, label) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        _write_png(first / 'images' / f'{number:05d}.png', frame[..., ::-1])
        _write_png(first / 'labels' / f'{number:05d}.png', label)
    for (start, end), flow in clip.flows.items():
        write_flow(first / 'flow' / f'{start:05d}_{end:05d}.png', flow, clip.valid[start, end])
    write_bytes(last, b'')


def _write_png(path: Path, image: np.ndarray) -> None:
    write_bytes(path, cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())
