"""Join data sets, and find those inside the wrappers of mmengine."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from mmengine.dataset import BaseDataset, RepeatDataset
from mmengine.dataset import ConcatDataset as _ConcatDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ConcatDataset(_ConcatDataset):
    """mmengine's ``ConcatDataset`` for data sets that share nothing but their classes: each keeps its own files, label
    table and pipeline, and of the metainfo only ``classes`` must be equal.

    The joined data set has the metainfo of the first one, and what that lacks from those after it. So the
    ``rare_classes`` of one hold for all. ``protocols`` are those of all together; ``pseudo_margins`` stay those of the
    data set that a sample belongs to. Samples carry ``dataset_name``, by which ``ClassIoUMetric`` reports the test sets
    side by side.

    Args:
        datasets: configs or data sets.
        names: what each is called in reports, one per data set; equal ones are reported together. None = the names of
            the types.
        lazy_init, ignore_keys: as in mmengine; no key but ``classes`` is compared anyway.

    Raises:
        ValueError: the classes differ, there is no data set, or another number of names.
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset | dict],
        names: Sequence[str] | None = None,
        lazy_init: bool = False,
        ignore_keys: str | list[str] | None = None,
    ) -> None:
        # Not the constructor of mmengine, which compares all keys, and by the position of the data set.
        self.datasets = [DATASETS.build(dataset) if isinstance(dataset, dict) else dataset for dataset in datasets]
        kinds = [type(next(plain_datasets(dataset, 'ConcatDataset'))).__name__ for dataset in self.datasets]
        self.names = list(kinds if names is None else names)
        if not self.datasets or len(self.names) != len(self.datasets):
            raise ValueError(
                f'ConcatDataset: {len(self.datasets)} data sets and {len(self.names)} names {self.names}; it needs a '
                'data set at least, and a name for each'
            )
        classes = [tuple(dataset.metainfo.get('classes') or ()) for dataset in self.datasets]
        for kind, others in zip(kinds, classes, strict=True):
            if others != classes[0]:
                raise ValueError(
                    f'ConcatDataset joins data sets of the same classes in the same order, but {kind} has {others} and '
                    f'{kinds[0]} has {classes[0]}. Map the label ids of both to the same classes (label_table)'
                )
        self.ignore_keys = ignore_keys or []
        parts = [dataset.metainfo for dataset in self.datasets]
        self._metainfo = {key: value for part in reversed(parts) for key, value in part.items()}
        protocols = {name: value for part in reversed(parts) for name, value in part.get('protocols', {}).items()}
        self._metainfo.update({'protocols': protocols} if protocols else {})
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def __getitem__(self, index: int) -> dict:
        """A sample of the data set that holds it, with ``dataset_name`` in the metainfo of its ``data_samples``."""
        sample = super().__getitem__(index)
        if 'data_samples' in sample:
            sample['data_samples'].set_metainfo({'dataset_name': self.names[self._get_ori_dataset_idx(index)[0]]})
        return sample


def plain_datasets(dataset: object, owner: str) -> Iterator[BaseDataset]:
    """The data sets inside wrappers (``ConcatDataset``, ``RepeatDataset``), one after another; ``owner`` is for the
    TypeError of anything else."""
    if isinstance(dataset, _ConcatDataset):
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


def locate(dataset: BaseDataset | _ConcatDataset | RepeatDataset, index: int) -> tuple[BaseDataset, int]:
    """The data set inside wrappers that holds sample ``index``, and its index there."""
    if isinstance(dataset, _ConcatDataset):
        number = bisect_right(dataset.cumulative_sizes, index)
        first = dataset.cumulative_sizes[number - 1] if number else 0
        return locate(dataset.datasets[number], index - first)
    if isinstance(dataset, RepeatDataset):
        return locate(dataset.dataset, index % len(dataset.dataset))
    return dataset, index


def label_folders(dataset: BaseDataset | _ConcatDataset | RepeatDataset) -> str:
    """Where the labels are, for messages."""
    folders = (str(inner.data_prefix.get('seg_map_path')) for inner in plain_datasets(dataset, 'a sampling'))
    return ' and '.join(dict.fromkeys(folders))
