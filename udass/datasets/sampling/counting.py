"""Count the pixels of each class in label files."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
from mmseg.datasets import BaseSegDataset
from tqdm import tqdm

from udass.datasets.base import UDADataset
from udass.io.labels import IGNORE_INDEX, raise_unknown_ids, read_label_ids

_Item, _Result = TypeVar('_Item'), TypeVar('_Result')


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
        """(C,) share of each class among all labelled pixels; ValueError if not one pixel has a class."""
        total = self.pixels.sum()
        if total == 0:
            raise ValueError('no pixel of the data set has a class: check that label_table fits the label files')
        return self.pixels.sum(axis=0) / total

    def areas(self) -> np.ndarray:
        """(F,) pixels of each file, ignored ones included."""
        return self.pixels.sum(axis=1) + self.ignored


def label_description(dataset: BaseSegDataset) -> SimpleNamespace:
    """Attributes of a `UDADataset` for a data set of mmseg: where its labels are and what their ids mean; TypeError if
    it is no data set of mmseg, ValueError if a sample has no label."""
    name = type(dataset).__name__
    if not isinstance(dataset, BaseSegDataset):
        raise TypeError(f'the classes of a {name} cannot be counted: it is not a data set of mmseg')
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    unlabelled = [info.get('img_path') for info in infos if info.get('seg_map_path') is None]
    if unlabelled:
        raise ValueError(
            f'{len(unlabelled)} samples of {name} have no label, for example {unlabelled[0]}: set '
            'data_prefix.seg_map_path'
        )
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(info['seg_map_path'])) for info in infos])
    return SimpleNamespace(
        data_root=os.path.abspath(dataset.data_root or folder),
        label_folder=folder,
        label_table=label_table(dataset),
        label_channel=None,
        LABEL_FILTER=None,
        metainfo=dataset.metainfo,
    )


def label_table(dataset: BaseSegDataset) -> dict[int, int]:
    """What ``LoadAnnotations`` makes of the ids 0 to 255 of a file: id -> train id or 255; ids that it turns into no
    class are left out."""
    table = {}
    for raw in range(256):
        # The label 255 is ignored as well as 0, of which one is subtracted.
        new = raw if not dataset.reduce_zero_label else (IGNORE_INDEX if raw in (0, IGNORE_INDEX) else raw - 1)
        table[raw] = (dataset.label_map or {}).get(new, new)
    allowed = (*range(len(dataset.metainfo['classes'])), IGNORE_INDEX)
    return {raw: new for raw, new in table.items() if new in allowed}


def count_pixels(path: str, dataset: UDADataset | SimpleNamespace) -> list[int]:
    """Pixels per train id of one label file, the ignored ones last: ``num_classes + 1`` numbers."""
    return count_ids(read_label_ids(path, dataset.label_channel, dataset.LABEL_FILTER), path, dataset)


def count_ids(ids: np.ndarray, path: str, dataset: UDADataset | SimpleNamespace) -> list[int]:
    """As ``count_pixels``, for the raw ids (H, W) of a label that was read; ``path`` is for the message."""
    if ids.dtype.itemsize <= 2:
        # Several times faster than sorting, and ids of 16 bits bound the memory.
        counts = np.bincount(ids.ravel())
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(ids, return_counts=True)
    table, number = dataset.label_table, len(dataset.metainfo['classes'])
    if any(raw not in table for raw in found.tolist()):
        raise_unknown_ids(path, found, table)
    pixels = [0] * (number + 1)
    for raw, count in zip(found.tolist(), counts.tolist(), strict=True):
        pixels[number if table[raw] == IGNORE_INDEX else table[raw]] += count
    return pixels


def warn_of_unseen(classes: Sequence[str], pixels: np.ndarray) -> str | None:
    """A sentence on the classes of which there is no pixel, if there are others; ``pixels`` (C,)."""
    unseen = [name for name, count in zip(classes, pixels, strict=True) if count == 0]
    if not unseen or not pixels.any():
        return None
    return (
        f'no label has {", ".join(unseen)} ({len(unseen)} of {len(classes)} classes): nothing can be learnt of them, '
        'and a test without them does not measure them. If the files should have them, correct label_table (for '
        'example, 255 may be a class and not ignored pixels)'
    )


def map_in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item], title: str) -> list[_Result]:
    """Results for the items, computed in threads with a progress bar; decoding and sorting leave Python's lock."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        try:
            return list(tqdm(pool.map(function, items), total=len(items), unit='file', desc=title))
        except BaseException:
            # An unusable file or Ctrl-C: do not read thousands of others first.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
