"""How many pixels of each class each label file holds: computed on first use, kept in a file, refreshed by itself."""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from udass.datasets.base import IGNORE_INDEX, UDADataset
from udass.io.labels import raise_unknown_ids, read_label_ids
from udass.io.writing import write_text
from udass.io.zip_files import file_stamp

_VERSION = 2


@dataclass(frozen=True)
class ClassStatistics:
    """Pixel counts of a data set of F files and C classes.

    Attributes:
        pixels: (F, C) int64, file by file in the order of the data set, full-size labels.
        ignored: (F,) int64, pixels without a class.
    """

    pixels: np.ndarray
    ignored: np.ndarray

    def frequencies(self) -> np.ndarray:
        """(C,) share of each class among all labelled pixels; sums to 1.

        Raises:
            ValueError: not one pixel has a class.
        """
        total = self.pixels.sum()
        if total == 0:
            raise ValueError('no pixel of the data set has a class: check that label_table fits the label files')
        return self.pixels.sum(axis=0) / total

    def areas(self) -> np.ndarray:
        """(F,) pixels of each file, ignored ones included."""
        return self.pixels.sum(axis=1) + self.ignored


def count_pixels(
    path: str,
    table: Mapping[int, int],
    channel: int | None,
    num_classes: int,
    label_filter: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[int]:
    """Pixels per train id of one label file, the ignored ones last: ``num_classes + 1`` numbers.

    Raises:
        FileNotFoundError, ValueError: the file is unreadable or holds an id outside the table.
    """
    return count_ids(read_label_ids(path, channel, label_filter), path, table, num_classes)


def count_ids(ids: np.ndarray, path: str, table: Mapping[int, int], num_classes: int) -> list[int]:
    """As ``count_pixels``, for the raw ids (H, W) of a label that was read; ``path`` is for the message."""
    if ids.dtype.itemsize <= 2:
        # Several times faster than sorting, and ids of 16 bits bound the memory.
        counts = np.bincount(ids.ravel())
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(ids, return_counts=True)
    if any(raw not in table for raw in found.tolist()):
        raise_unknown_ids(path, found, table)
    pixels = [0] * (num_classes + 1)
    for raw, count in zip(found.tolist(), counts.tolist(), strict=True):
        new = table[raw]
        pixels[num_classes if new == IGNORE_INDEX else new] += count
    return pixels


def class_statistics(dataset: UDADataset, cache_folder: str | None = None) -> ClassStatistics:
    """Statistics of a labelled data set, from the cache as far as its files have not changed.

    The cache is one JSON file per label folder and label table, shared by all subsets of the folder and by all users.
    A file is counted again when its size or time of change differs. Processes that need the same statistics at once
    (ranks, seeds) wait for the first one; the file is replaced in one step, so that none ever reads half of it. Where
    it cannot be replaced (another user's in a sticky folder, a read-only or full disk), a cache of one's own is kept
    besides. Classes that no label shows are named in a warning.

    Args:
        dataset: with labels.
        cache_folder: where the cache is kept. None = in the data root; if that cannot be written, in
            ``$XDG_CACHE_HOME/udass`` (``~/.cache/udass``).

    Raises:
        ValueError: the data set has no labels, or a label file is unusable.
    """
    if not dataset.labelled:
        raise ValueError(
            f'{type(dataset).__name__} is used without labels (labelled=False): there are no classes to '
            'count. Rare-class sampling and long-tail paste need a labelled (source) data set'
        )
    paths = [dataset.get_data_info(index)['seg_map_path'] for index in range(len(dataset))]
    stamps = {os.path.relpath(path, dataset.label_folder): file_stamp(path) for path in paths}
    files = _cache_files(dataset, cache_folder)
    with contextlib.ExitStack() as stack:
        known = _known_counts(files, stamps)
        if len(known) < len(stamps):
            # Somebody else may be counting: wait, and look again at what is left to do.
            stack.enter_context(_locked(files))
            known = _known_counts(files, stamps)
        changed = [name for name in stamps if name not in known]
        if changed:
            known.update(zip(changed, _count(dataset, changed), strict=True))
            _keep(files, {name: [stamps[name], known[name]] for name in changed})
    table = np.array([known[name] for name in stamps], dtype=np.int64)
    _warn_of_unseen_classes(dataset, table[:, :-1].sum(axis=0))
    return ClassStatistics(pixels=table[:, :-1], ignored=table[:, -1])


def store_counts(dataset: UDADataset, counts: Mapping[str, list[int]], cache_folder: str | None = None) -> Path | None:
    """Put counts that were made elsewhere (``check_dataset``) into the cache of ``class_statistics``.

    Args:
        dataset: with labels.
        counts: path of the label file -> what ``count_pixels`` says of it.
        cache_folder: see ``class_statistics``.

    Returns:
        The cache file, or None where none can be written.
    """
    files = _cache_files(dataset, cache_folder)
    with _locked(files):
        return _keep(
            files,
            {
                os.path.relpath(path, dataset.label_folder): [file_stamp(path), numbers]
                for path, numbers in counts.items()
            },
        )


def _warn_of_unseen_classes(dataset: UDADataset, pixels: np.ndarray) -> None:
    unseen = [name for name, count in zip(dataset.metainfo['classes'], pixels, strict=True) if count == 0]
    if unseen and pixels.any():
        print_log(
            f'no label in {dataset.label_folder} shows {", ".join(unseen)} '
            f'({len(unseen)} of {len(pixels)} classes): nothing can be learnt of them from it. If the files '
            'should show them, correct label_table (for example, 255 may be a class and not ignored pixels)',
            logger='current',
            level=logging.WARNING,
        )


def _count(dataset: UDADataset, names: Sequence[str]) -> list[list[int]]:
    """Count the files in threads (decoding and sorting leave Python's lock), with a progress bar."""
    number = len(dataset.metainfo['classes'])

    def count(name: str) -> list[int]:
        path = os.path.join(dataset.label_folder, name)
        return count_pixels(path, dataset.label_table, dataset.label_channel, number, dataset.LABEL_FILTER)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        bar = tqdm(
            pool.map(count, names),
            total=len(names),
            unit='file',
            desc=f'Counting the classes of {dataset.label_folder}',
        )
        try:
            return list(bar)
        except BaseException:
            # An unusable file or Ctrl-C: do not count thousands of others first.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            bar.close()


def _cache_name(dataset: UDADataset) -> str:
    """Name of the cache file: another one for another folder, label table, channel or filter."""
    below_root = os.path.relpath(dataset.label_folder, dataset.data_root)
    key = [
        _VERSION,
        below_root,
        sorted(dataset.label_table.items()),
        dataset.label_channel,
        len(dataset.metainfo['classes']),
    ]
    if dataset.LABEL_FILTER is not None:
        key.append(dataset.LABEL_FILTER.__name__)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return f'class_statistics_{digest[:12]}.json'


def _cache_files(dataset: UDADataset, given: str | None) -> list[Path]:
    """Where the cache may be, the places for all users first."""
    root = os.path.abspath(dataset.data_root)
    # Outside the data root its path tells two copies of a data set apart.
    copy = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    caches = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folders = [Path(root), Path(caches, 'udass', copy)] if given is None else [Path(given, copy)]
    return [folder / _cache_name(dataset) for folder in folders]


def _known_counts(files: Sequence[Path], stamps: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Name -> counts of the label files that have not changed since they were counted."""
    known: dict[str, list[int]] = {}
    for file in files:
        for name, (stamp, counts) in _read_cache(file).items():
            if stamps.get(name) == stamp:
                known.setdefault(name, counts)
    return known


def _read_cache(file: Path) -> dict[str, list]:
    """Name -> [stamp, counts] of what is whole in the cache; empty if there is none or it is not one of ours."""
    try:
        content = json.loads(file.read_bytes())
        return {name: entry for name, (*entry, checksum) in content.items() if checksum == _checksum(name, entry)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _checksum(name: str, entry: list) -> int:
    """Of an entry of the cache: a wrong digit is not to be taken for a count."""
    return zlib.crc32(json.dumps([name, entry]).encode())


def _keep(files: Sequence[Path], entries: Mapping[str, list]) -> Path | None:
    """Add entries to the first of the cache files that can be replaced; returns it, or None if none can."""
    reasons = []
    for file in files:
        try:
            _refuse_read_only(file.parent)
            merged = {**_read_cache(file), **entries}
            content = {name: [*entry, _checksum(name, entry)] for name, entry in merged.items()}
            write_text(file, json.dumps(content))
            return file
        except OSError as error:
            reasons.append(f'{file.parent}: {error.strerror or error}')
    print_log(
        f'The class statistics cannot be kept ({"; ".join(reasons)}) and will be counted again in the next run; '
        'make room there, or give cache_folder',
        logger='current',
        level=logging.WARNING,
    )
    return None


def _refuse_read_only(folder: Path) -> None:
    """Root could write into a folder that is marked read-only, but should not."""
    if folder.is_dir() and not folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(folder))


@contextlib.contextmanager
def _locked(files: Sequence[Path]) -> Iterator[None]:
    """Hold a lock beside the first of the cache files where there can be one; without any (read-only folders, file
    systems without locks) the work is done twice."""
    with contextlib.ExitStack() as stack:
        for file in files:
            try:
                descriptor = _open_lock(file.with_suffix('.lock'))
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                break
            except OSError:
                continue
        yield


def _open_lock(path: Path) -> int:
    """Descriptor of a lock file, which may be another user's: to lock it, one need only be able to read it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_read_only(path.parent)
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
