"""How many pixels of each class each label file holds: counted on first use, cached in a file, refreshed by itself."""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.logging import print_log

from udass.datasets.base import UDADataset
from udass.datasets.sampling.counting import (
    ClassStatistics,
    count_pixels,
    label_description,
    map_in_threads,
    warn_of_unseen,
)
from udass.datasets.sampling.wrappers import label_folders
from udass.io.writing import write_text
from udass.io.zip_files import file_stamp

_VERSION = 2


def class_statistics(
    dataset: BaseDataset | ConcatDataset | RepeatDataset, cache_folder: str | None = None
) -> ClassStatistics:
    """Statistics of a labelled data set, sample by sample, from the cache as far as its files have not changed.

    The cache is one JSON file per label folder and label table, shared by all subsets of the folder and by all users.
    Processes that need the same statistics at once (ranks, seeds) wait for the first one. Where the file cannot be
    replaced (another user's in a sticky folder, a read-only or full disk), a cache of one's own is written besides.
    Classes of which no label has a pixel are named in a warning.

    Args:
        dataset: of this project or of mmseg, inside wrappers or not.
        cache_folder: where the cache is. None = in the data root; if that cannot be written, in
            ``$XDG_CACHE_HOME/udass`` (``~/.cache/udass``).

    Raises:
        TypeError: it is no data set of mmseg.
        ValueError: the data set has no labels, or a label file is unusable.
    """
    statistics = _statistics(dataset, cache_folder)
    # Of all data sets that are joined: one may have classes that another lacks.
    warning = warn_of_unseen(dataset.metainfo['classes'], statistics.pixels.sum(axis=0))
    if warning:
        print_log(f'{label_folders(dataset)}: {warning}', logger='current', level=logging.WARNING)
    return statistics


def _statistics(
    dataset: BaseDataset | ConcatDataset | RepeatDataset, cache_folder: str | None = None
) -> ClassStatistics:
    if isinstance(dataset, ConcatDataset | RepeatDataset):
        inner = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset.dataset]
        parts = [_statistics(one, cache_folder) for one in inner] * getattr(dataset, 'times', 1)
        pixels, ignored = (np.concatenate([getattr(part, name) for part in parts]) for name in ('pixels', 'ignored'))
        return ClassStatistics(pixels=pixels, ignored=ignored)
    if isinstance(dataset, UDADataset) and not dataset.labelled:
        raise ValueError(
            f'{type(dataset).__name__} is used without labels (labelled=False): there are no classes to count. '
            'Rare-class sampling and long-tail paste need a labelled (source) data set'
        )
    labels = dataset if isinstance(dataset, UDADataset) else label_description(dataset)
    paths = [dataset.get_data_info(index)['seg_map_path'] for index in range(len(dataset))]
    table = np.array(_counts(labels, paths, cache_folder), dtype=np.int64)
    return ClassStatistics(pixels=table[:, :-1], ignored=table[:, -1])


def store_counts(
    dataset: UDADataset | SimpleNamespace, counts: Mapping[str, list[int]], cache_folder: str | None = None
) -> None:
    """Put counts that were made elsewhere (``check_dataset``), label file -> result of ``count_pixels``, into the cache
    of ``class_statistics``."""
    files = _cache_files(dataset, cache_folder)
    folder = dataset.label_folder
    entries = {os.path.relpath(path, folder): [file_stamp(path), numbers] for path, numbers in counts.items()}
    with _locked(files):
        _write_cache(files, entries)


def _counts(dataset: UDADataset | SimpleNamespace, paths: Sequence[str], cache_folder: str | None) -> list[list[int]]:
    """Counts of each label file."""
    names = {os.path.relpath(path, dataset.label_folder): path for path in paths}
    stamps = {name: file_stamp(path) for name, path in names.items()}
    files = _cache_files(dataset, cache_folder)
    known = _known_counts(files, stamps)
    if len(known) < len(names):
        with _locked(files):
            # Another process may have counted meanwhile: look again at what is left to do.
            known = _known_counts(files, stamps)
            changed = [name for name in names if name not in known]
            if changed:
                title = f'Counting the classes of {dataset.label_folder}'
                # A log file has no bar, and the count of a large data set takes minutes.
                print_log(f'{title}: {len(changed)} files', logger='current')
                found = map_in_threads(lambda name: count_pixels(names[name], dataset), changed, title)
                known.update(zip(changed, found, strict=True))
                _write_cache(files, {name: [stamps[name], known[name]] for name in changed})
    return [known[os.path.relpath(path, dataset.label_folder)] for path in paths]


def _cache_files(dataset: UDADataset | SimpleNamespace, given: str | None) -> list[Path]:
    """Where the cache may be, the places for all users first; another file for another label folder, table, channel or
    filter."""
    root = os.path.abspath(dataset.data_root)
    table, number = sorted(dataset.label_table.items()), len(dataset.metainfo['classes'])
    key = [_VERSION, os.path.relpath(dataset.label_folder, dataset.data_root), table, dataset.label_channel, number]
    if dataset.LABEL_FILTER is not None:
        key.append(dataset.LABEL_FILTER.__name__)
    name = f'class_statistics_{_digest(json.dumps(key).encode())}.json'
    # Outside the data root its path tells two copies of a data set apart.
    copy = _digest(os.fsencode(root))
    caches = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folders = [Path(root), Path(caches, 'udass', copy)] if given is None else [Path(given, copy)]
    return [folder / name for folder in folders]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


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


def _write_cache(files: Sequence[Path], entries: Mapping[str, list]) -> None:
    """Add entries to the first of the cache files that can be replaced."""
    reasons = []
    for file in files:
        try:
            _refuse_read_only(file.parent)
            merged = {**_read_cache(file), **entries}
            content = {name: [*entry, _checksum(name, entry)] for name, entry in merged.items()}
            write_text(file, json.dumps(content))
            return
        except OSError as error:
            reasons.append(f'{file.parent}: {error.strerror or error}')
    print_log(
        f'The class statistics cannot be stored ({"; ".join(reasons)}) and will be counted again in the next run; make '
        'room there, or give cache_folder',
        logger='current',
        level=logging.WARNING,
    )


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
            with contextlib.suppress(OSError):
                descriptor = _open_lock(file.with_suffix('.lock'))
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                break
        yield


def _open_lock(path: Path) -> int:
    """Descriptor of a lock file, which may be another user's: to lock it, one need only be able to read it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_read_only(path.parent)
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
