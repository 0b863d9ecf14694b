"""The data sets inside the wrappers of mmengine."""

from bisect import bisect_right
from collections.abc import Iterator

from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset


def plain_datasets(dataset: object, owner: str) -> Iterator[BaseDataset]:
    """The data sets inside wrappers, one after another.

    Args:
        dataset: a data set, or a ``ConcatDataset`` or ``RepeatDataset`` of mmengine.
        owner: what needs it, for the message.

    Raises:
        TypeError: something else.
    """
    if isinstance(dataset, ConcatDataset):
        for inner in dataset.datasets:
            yield from plain_datasets(inner, owner)
    elif isinstance(dataset, RepeatDataset):
        yield from plain_datasets(dataset.dataset, owner)
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


def label_folders(dataset: BaseDataset | ConcatDataset | RepeatDataset) -> str:
    """Where the labels are, for messages."""
    folders = (str(inner.data_prefix.get('seg_map_path')) for inner in plain_datasets(dataset, 'a sampling'))
    return ' and '.join(dict.fromkeys(folders))
