"""How many pixels of each class each label file holds: computed on first use, kept in a file, refreshed by itself."""
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from .archives import file_stamp
from .base import IGNORE_INDEX, UDADataset
from .transforms.loading import raise_unknown_ids, read_filtered_ids

_VERSION = 1


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


def count_pixels(path: str, table: Mapping[int, int], channel: int | None, num_classes: int,
                 label_filter: Callable[[np.ndarray], np.ndarray] | None = None) -> list[int]:
    """Pixels per train id of one label file, the ignored ones last: ``num_classes + 1`` numbers.

    Raises:
        FileNotFoundError, ValueError: the file is unreadable or holds an id outside the table.
    """
    return count_ids(read_filtered_ids(path, channel, label_filter), path, table, num_classes)


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

    The cache is one JSON file per label folder and label table, shared by all subsets of the folder. A file is counted
    again when its size or time of change differs. Processes that need the same statistics at once (ranks, seeds) wait
    for the first one; the file is replaced in one step, so that none ever reads half of it.

    Args:
        dataset: with labels.
        cache_folder: where the cache is kept. None = in the data root; if that cannot be written, in
            ``$XDG_CACHE_HOME/udass`` (``~/.cache/udass``).

    Raises:
        ValueError: the data set has no labels, or a label file is unusable.
    """
    if not dataset.labelled:
        raise ValueError(f'{type(dataset).__name__} is used without labels (labelled=False): there are no classes to '
                         'count. Rare-class sampling and long-tail paste need a labelled (source) data set')
    paths = [dataset.get_data_info(index)['seg_map_path'] for index in range(len(dataset))]
    stamps = {os.path.relpath(path, dataset.label_folder): file_stamp(path) for path in paths}
    folder = _cache_folder(dataset, cache_folder)
    with contextlib.ExitStack() as stack:
        cached: dict[str, list] = {}
        file = None if folder is None else folder / _cache_name(dataset)
        if file is not None:
            cached = _read_cache(file)
            if any(cached.get(name, [None])[0] != stamp for name, stamp in stamps.items()):
                # Somebody else may be counting: wait, and look again at what is left to do.
                stack.enter_context(_locked(file))
                cached = _read_cache(file)
        changed = [name for name, stamp in stamps.items() if cached.get(name, [None])[0] != stamp]
        if changed:
            for name, counts in zip(changed, _count(dataset, changed), strict=True):
                cached[name] = [stamps[name], counts]
            if file is not None:
                _write_cache(file, cached)
    table = np.array([cached[name][1] for name in stamps], dtype=np.int64)
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
    folder = _cache_folder(dataset, cache_folder)
    if folder is None:
        return None
    file = folder / _cache_name(dataset)
    with _locked(file):
        cached = _read_cache(file)
        for path, numbers in counts.items():
            cached[os.path.relpath(path, dataset.label_folder)] = [file_stamp(path), numbers]
        _write_cache(file, cached)
    return file


def _count(dataset: UDADataset, names: Sequence[str]) -> list[list[int]]:
    """Count the files in threads (decoding and sorting leave Python's lock), with a progress bar."""
    number = len(dataset.metainfo['classes'])

    def count(name: str) -> list[int]:
        path = os.path.join(dataset.label_folder, name)
        return count_pixels(path, dataset.label_table, dataset.label_channel, number, dataset.LABEL_FILTER)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        bar = tqdm(pool.map(count, names), total=len(names), unit='file',
                   desc=f'Counting the classes of {dataset.label_folder}')
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
    key = [_VERSION, below_root, sorted(dataset.label_table.items()), dataset.label_channel,
           len(dataset.metainfo['classes'])]
    if dataset.LABEL_FILTER is not None:
        key.append(dataset.LABEL_FILTER.__name__)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return f'class_statistics_{digest[:12]}.json'


def _cache_folder(dataset: UDADataset, given: str | None) -> Path | None:
    """The first folder of those asked for that can be written, or None."""
    root = os.path.abspath(dataset.data_root)
    # Outside the data root its path tells two copies of a data set apart.
    copy = hashlib.sha256(root.encode()).hexdigest()[:12]
    caches = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    choices = [Path(root), Path(caches, 'udass', copy)] if given is None else [Path(given, copy)]
    for folder in choices:
        if _accepts_files(folder):
            return folder
    print_log(f'The class statistics of {root} cannot be kept (none of {[str(folder) for folder in choices]} can be '
              'written) and will be counted again in the next run; give cache_folder', logger='current',
              level=logging.WARNING)
    return None


def _accepts_files(folder: Path) -> bool:
    """Whether files can be made in the folder (which is made if need be)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Root could write into a folder that is marked read-only, but should not.
        if not folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            return False
        # A read-only mount shows only when one tries.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _read_cache(file: Path) -> dict[str, list]:
    """Name -> [stamp, counts] of what is whole in the cache; empty if there is none or it is not one of ours."""
    try:
        content = json.loads(file.read_text())
        return {name: entry for name, (*entry, checksum) in content.items() if checksum == _checksum(name, entry)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _checksum(name: str, entry: list) -> int:
    """Of an entry of the cache: a wrong digit is not to be taken for a count."""
    return zlib.crc32(json.dumps([name, entry]).encode())


def _write_cache(file: Path, content: dict[str, list]) -> None:
    """Replace the cache in one step: a reader sees the old or the new one."""
    with tempfile.NamedTemporaryFile('w', dir=file.parent, prefix=file.stem, suffix='.tmp', delete=False) as temporary:
        json.dump({name: [*entry, _checksum(name, entry)] for name, entry in content.items()}, temporary)
    # Temporary files are private to the user; the data set may be shared.
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, file)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock beside ``file``; without one where the file system has no locks (the work is then done twice)."""
    with open(file.with_suffix('.lock'), 'a') as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
