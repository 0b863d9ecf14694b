"""Data sets inside the wrappers of mmengine, and the labels of mmseg's own data sets, as the samplings need them."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset

from udass.datasets.base import IGNORE_INDEX, UDADataset
from udass.datasets.sampling.statistics import ClassStatistics, class_statistics

WRAPPERS = (ConcatDataset, RepeatDataset)


def plain_datasets(dataset: object, owner: str) -> Iterator[BaseDataset]:
    """The data sets inside wrappers, one after another.

    Args:
        dataset: a data set, or a ``ConcatDataset`` or ``RepeatDataset`` of mmengine.
        owner: what needs it, for the message.

    Raises:
        TypeError: something else.
    """
    if isinstance(dataset, WRAPPERS):
        for inner in dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset.dataset]:
            yield from plain_datasets(inner, owner)
    elif isinstance(dataset, BaseDataset):
        yield dataset
    else:
        raise TypeError(
            f'{owner} takes a data set, or a ConcatDataset or RepeatDataset of data sets, not a '
            f'{type(dataset).__name__}'
        )


def locate(dataset: BaseDataset | ConcatDataset | RepeatDataset, index: int) -> tuple[BaseDataset, int]:
    """The data set inside wrappers that holds sample ``index``, and its index there."""
    if isinstance(dataset, ConcatDataset):
        number = bisect_right(dataset.cumulative_sizes, index)
        first = dataset.cumulative_sizes[number - 1] if number else 0
        return locate(dataset.datasets[number], index - first)
    if isinstance(dataset, RepeatDataset):
        return locate(dataset.dataset, index % len(dataset.dataset))
    return dataset, index


def label_statistics(
    dataset: BaseDataset | ConcatDataset | RepeatDataset, cache_folder: str | None = None
) -> ClassStatistics:
    """`class_statistics` of a data set of this project or of mmseg, inside wrappers or not, sample by sample."""
    if isinstance(dataset, ConcatDataset):
        parts = [label_statistics(inner, cache_folder) for inner in dataset.datasets]
        return ClassStatistics(
            pixels=np.concatenate([part.pixels for part in parts]),
            ignored=np.concatenate([part.ignored for part in parts]),
        )
    if isinstance(dataset, RepeatDataset):
        part = label_statistics(dataset.dataset, cache_folder)
        return ClassStatistics(
            pixels=np.tile(part.pixels, (dataset.times, 1)), ignored=np.tile(part.ignored, dataset.times)
        )
    return class_statistics(dataset if isinstance(dataset, UDADataset) else LabelFiles.of(dataset), cache_folder)


def label_folders(dataset: BaseDataset | ConcatDataset | RepeatDataset) -> str:
    """Where the labels are, for messages."""
    return ' and '.join(
        dict.fromkeys(str(inner.data_prefix.get('seg_map_path')) for inner in plain_datasets(dataset, 'a sampling'))
    )


@dataclass(frozen=True)
class LabelFiles:
    """The label files of a data set of mmseg, described as a `UDADataset` describes its own.

    Attributes:
        paths: of all samples, in their order.
        data_root, label_folder, label_table, metainfo: as of a `UDADataset`.
    """

    paths: Sequence[str]
    data_root: str
    label_folder: str
    label_table: dict[int, int]
    metainfo: dict
    labelled: bool = True
    label_channel: None = None
    LABEL_FILTER: None = None

    @classmethod
    def of(cls, dataset: BaseSegDataset) -> 'LabelFiles':
        """Those of a data set.

        Raises:
            TypeError: it is no data set of mmseg.
            ValueError: a sample has no label.
        """
        if not isinstance(dataset, BaseSegDataset):
            raise TypeError(f'the classes of a {type(dataset).__name__} cannot be counted: it is no data set of mmseg')
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        unlabelled = [info.get('img_path') for info in infos if info.get('seg_map_path') is None]
        if unlabelled:
            raise ValueError(
                f'{len(unlabelled)} samples of {type(dataset).__name__} have no label, for example '
                f'{unlabelled[0]}: set data_prefix.seg_map_path'
            )
        paths = [os.path.abspath(info['seg_map_path']) for info in infos]
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
        return cls(
            paths=paths,
            data_root=os.path.abspath(dataset.data_root or folder),
            label_folder=folder,
            label_table=table_of(dataset),
            metainfo=dataset.metainfo,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict:
        """The path of a label."""
        return {'seg_map_path': self.paths[index]}


def table_of(dataset: BaseSegDataset) -> dict[int, int]:
    """What ``LoadAnnotations`` makes of the ids 0 to 255 of a file: id -> train id or 255; ids that it turns into no
    class are left out."""
    number = len(dataset.metainfo['classes'])
    table = {}
    for raw in range(256):
        # The label 255 is ignored as well as 0, of which one is subtracted.
        new = raw if not dataset.reduce_zero_label else (IGNORE_INDEX if raw in (0, IGNORE_INDEX) else raw - 1)
        new = (dataset.label_map or {}).get(new, new)
        if 0 <= new < number or new == IGNORE_INDEX:
            table[raw] = new
    return table
