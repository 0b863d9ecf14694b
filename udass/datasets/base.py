"""What every data set of this project has in common: finding its files, checking them early, naming what is wrong."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from udass.errors import printable
from udass.io.images import IMAGE_SUFFIXES
from udass.io.labels import IGNORE_INDEX
from udass.io.zip_files import files_below


@DATASETS.register_module()
class UDADataset(BaseSegDataset):
    """Images in one folder and, if labelled, one label file per image in another, found recursively.

    Both may still be packed: where a folder is missing, the zip files in the data root are looked through for it.

    An image ``<image_folder>/<name><image_suffix>`` belongs to the label ``<label_folder>/<name><label_suffix>``;
    suffixes are found in either case (``.PNG``). Images of other kinds that are left out are named in a warning.
    Each sample's info holds ``img_path``, ``seg_map_path`` (labelled only), ``label_table``, ``label_channel`` and
    ``label_filter``, which ``LoadLabels`` reads. Metainfo by class name, beside mmseg's ``classes`` and ``palette``:

    - ``thing_classes``: names;
    - ``rare_classes``: list of dict(name, weight, min_pixels); a class of weight 2 counts as two entries of the list;
    - ``pseudo_margins``: dict(size=(width, height), top, bottom, left, right) in pixels of an image of that size, where
      pseudo-labels are not to be trusted (see ``PseudoMargins``); without it every pixel is;
    - ``protocols``: what is reported beside the mean over all classes, see ``ClassIoUMetric``;
    - ``submission``: what the benchmark's server takes, see ``SubmissionFiles``.

    Subclasses set METAINFO, LABEL_TABLE, LABEL_FILTER and DOWNLOAD_HINT.

    Args:
        data_root: folder of the data set.
        image_folder, label_folder: relative to ``data_root``.
        image_suffix, label_suffix: ends of the file names, e.g. '_leftImg8bit.png'.
        labelled: False for a target domain: label files are neither looked for nor needed.
        label_table: raw id -> train id, 255 = ignore. An id that is not listed is an error when met. Ids written as
            strings, which is all that JSON has for keys, count as numbers. None = the table of the class, or the
            identity over the classes plus 255.
        label_channel: None for single-channel and palette labels; else the channel of a colour label file that holds
            the id, counted as in the file (0 = red).
        indices: use only the first n (int) or the given samples of the sorted list.
        pipeline, metainfo, test_mode, lazy_init: as in mmseg; ``LoadAnnotations`` and ``PackSegInputs`` stand for
            ``LoadLabels`` and ``PackUDAInputs``.
    """

    LABEL_TABLE: dict[int, int] | None = None
    # Called with the raw ids (H, W) of a label file, returns them with changes that depend on more than the single
    # id; a static function (``staticmethod``). None = the ids are taken as they are.
    LABEL_FILTER: Callable[[np.ndarray], np.ndarray] | None = None
    # Last sentence of the message about missing files.
    DOWNLOAD_HINT = 'Set data_root in the config to the folder that holds the data set.'

    def __init__(
        self,
        *,
        data_root: str,
        image_folder: str,
        label_folder: str,
        image_suffix: str,
        label_suffix: str,
        labelled: bool = True,
        label_table: dict[int, int] | None = None,
        label_channel: int | None = None,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.labelled = labelled
        self.label_channel = label_channel
        # Path as the suffix says it -> path as it is written, where the two differ in case; made when listed.
        self._spellings: dict[str, str] = {}
        self._given_table = label_table
        super().__init__(
            data_root=os.path.expanduser(data_root),
            img_suffix=image_suffix,
            seg_map_suffix=label_suffix,
            data_prefix=dict(img_path=image_folder, seg_map_path=label_folder),
            metainfo=metainfo,
            indices=indices,
            pipeline=[own_transform(transform) for transform in pipeline],
            test_mode=test_mode,
            ignore_index=IGNORE_INDEX,
            lazy_init=True,
        )
        check_metainfo(self._metainfo, type(self).__name__)
        self.label_table = self._make_label_table()
        if not lazy_init:
            self.full_init()

    @property
    def image_folder(self) -> str:
        """Path of the folder of images."""
        return self.data_prefix['img_path']

    @property
    def label_folder(self) -> str:
        """Path of the folder of labels; need not exist if the data set is used without labels."""
        return self.data_prefix['seg_map_path']

    def keep(self, name: str) -> bool:
        """Whether the image ``name`` (path below the image folder, without suffix) belongs to the data set."""
        return True

    def sample_info(self, name: str) -> dict:
        """What a sample's info holds besides, e.g. the weather; ``PackUDAInputs`` hands on what it knows."""
        return {}

    def load_data_list(self) -> list[dict]:
        """List the samples, sorted by name.

        Raises:
            FileNotFoundError: a folder is missing, holds no image of the given suffix, or images have no label.
            ValueError: ``keep`` leaves no image.
        """
        names = self.image_names()
        if self.labelled:
            missing = self.names_without_label(names)
            if missing:
                raise FileNotFoundError(self._explain_missing(missing, len(names)))
        left_out = self.images_left_out(names)
        if left_out:
            print_log(
                printable(
                    f'{type(self).__name__}: {len(left_out)} images in {self.image_folder} do not end in '
                    f'{self.img_suffix} and are left out: {", ".join(left_out[:3])}'
                    f'{", ..." if len(left_out) > 3 else ""}. Convert or rename them to use them'
                ),
                logger='current',
                level=logging.WARNING,
            )
        return [self.make_sample(name) for name in names]

    def filter_data(self) -> list[dict]:
        """All samples; mmengine calls this before it takes those of ``indices``.

        Raises:
            ValueError: ``indices`` names none, or one that does not exist.
        """
        samples, chosen = super().filter_data(), self._indices
        if chosen is None:
            return samples
        wrong = [] if isinstance(chosen, int) else [index for index in chosen if not 0 <= index < len(samples)]
        if wrong or chosen == 0 or (not isinstance(chosen, int) and len(chosen) == 0):
            raise ValueError(
                f'{type(self).__name__}: indices={chosen} of the {len(samples)} samples in '
                f'{self.image_folder}: give a number of samples from 1, or a list of some in '
                f'0..{len(samples) - 1}'
            )
        return samples

    def image_names(self) -> list[str]:
        """Sorted names of the images that belong to the data set; errors as in ``load_data_list``."""
        found = self._names(self.image_folder, self.img_suffix, 'images')
        names = [name for name in found if self.keep(name)]
        if not names:
            raise ValueError(
                f'{type(self).__name__}: the filter of the config keeps none of the {len(found)} images '
                f'in {self.image_folder}. {self.explain_filter(found)}'
            )
        return names

    def label_names(self) -> list[str]:
        """Sorted names of the labels that belong to the data set.

        Raises:
            FileNotFoundError: the folder is missing or holds no label.
        """
        return [name for name in self._names(self.label_folder, self.seg_map_suffix, 'labels') if self.keep(name)]

    def names_without_label(self, names: Sequence[str]) -> list[str]:
        """Those of the names that have no label file."""
        labels = set(self.label_names())
        return [name for name in names if name not in labels]

    def images_left_out(self, names: Sequence[str]) -> list[str]:
        """Images of other kinds (``IMAGE_SUFFIXES``) beside those of the data set, sorted; with labels, only those
        that have one."""
        stem, dot, kind = self.img_suffix.lower().rpartition('.')
        if dot + kind not in IMAGE_SUFFIXES:
            return []
        known = set(names)
        labels = set(self.label_names()) if self.labelled else None
        found = []
        for file in files_below(self.image_folder) or ():
            rest, other = os.path.splitext(file)
            name = rest[: len(rest) - len(stem)]
            if (
                other.lower() in IMAGE_SUFFIXES
                and other.lower() != dot + kind
                and rest.lower().endswith(stem)
                and name not in known
                and self.keep(name)
                and (labels is None or name in labels)
            ):
                found.append(file)
        return sorted(found)

    def make_sample(self, name: str) -> dict:
        """Info of the sample ``name``, with the paths of its files."""
        sample = dict(img_path=self.image_path(name), seg_fields=[])
        if self.labelled:
            sample['seg_map_path'] = self.label_path(name)
        return {**sample, **self.sample_info(name)}

    def image_path(self, name: str) -> str:
        """Path of the image ``name``."""
        path = os.path.join(self.image_folder, name + self.img_suffix)
        return self._spellings.get(path, path)

    def label_path(self, name: str) -> str:
        """Path of the label of the image ``name``."""
        path = os.path.join(self.label_folder, name + self.seg_map_suffix)
        return self._spellings.get(path, path)

    def explain_filter(self, names: Collection[str]) -> str:
        """One sentence on what could have been asked for instead, given the names that exist."""
        return f'Found for example {sorted(names)[0]}.'

    def get_data_info(self, idx: int) -> dict:
        """Info of one sample."""
        return self.complete_info(super().get_data_info(idx))

    def complete_info(self, info: dict) -> dict:
        """Info of a sample with what is the same for all samples, which is shared and not copied."""
        info['label_table'] = self.label_table
        info['label_channel'] = self.label_channel
        info['label_filter'] = self.LABEL_FILTER
        info['pseudo_margins'] = self._metainfo.get('pseudo_margins')
        return info

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Sorted paths below ``folder`` without the suffix, with '/' between folders."""
        files = files_below(folder)
        if files is None:
            raise FileNotFoundError(
                f'{type(self).__name__}: the folder {folder} does not exist; it should hold the '
                f'{what} (*{suffix}). {self.DOWNLOAD_HINT}'
            )
        found: dict[str, str] = {}
        others: Counter[str] = Counter()
        for file in files:
            if not file.lower().endswith(suffix.lower()):
                others[Path(file).suffix or Path(file).name] += 1
                continue
            name = file[: len(file) - len(suffix)]
            other = found.setdefault(name, file)
            if other != file:
                raise ValueError(
                    f'{type(self).__name__}: {folder} holds both {other} and {file}, which are the '
                    f'{what} of one sample. Rename or remove one of them'
                )
            if file != name + suffix:
                self._spellings[os.path.join(folder, name + suffix)] = os.path.join(folder, file)
        if not found:
            content = ', '.join(f'{count} {kind}' for kind, count in others.most_common(3)) or 'no files at all'
            raise FileNotFoundError(
                f'{type(self).__name__}: no {what} *{suffix} in {folder} (it holds {content}). {self.DOWNLOAD_HINT}'
            )
        return sorted(found)

    def _explain_missing(self, missing: Sequence[str], total: int) -> str:
        """What to say about images without a label."""
        first = ', '.join(name + self.img_suffix for name in missing[:3])
        return (
            f'{type(self).__name__}: {len(missing)} of {total} images in {self.image_folder} have no label in '
            f'{self.label_folder}: {first}{", ..." if len(missing) > 3 else ""}. Expected e.g. '
            f'{missing[0]}{self.seg_map_suffix}. Add the labels, remove the images, or set labelled=False if this '
            'is a target domain'
        )

    def _make_label_table(self) -> dict[int, int]:
        """The table of the config or of the class, followed by mmseg's mapping to a chosen subset of the classes."""
        owner = type(self).__name__
        table = self._given_table if self._given_table is not None else self.LABEL_TABLE
        number = len((type(self).METAINFO or self._metainfo)['classes'])
        if table is None:
            table = {**{train_id: train_id for train_id in range(number)}, IGNORE_INDEX: IGNORE_INDEX}
        table = _whole_numbers(table, owner)
        wrong = {raw: new for raw, new in table.items() if raw < 0 or not (0 <= new < number or new == IGNORE_INDEX)}
        if wrong:
            raise ValueError(
                f'{owner}: label_table maps {wrong}; raw ids must be 0 or larger and train '
                f'ids in 0..{number - 1} or {IGNORE_INDEX} (ignore)'
            )
        if self.label_map is not None:
            table = {raw: self.label_map.get(new, IGNORE_INDEX) for raw, new in table.items()}
        return dict(table)


def _whole_numbers(table: Mapping, owner: str) -> dict[int, int]:
    """A label table with numbers for keys, which JSON and options of the command line write as strings.

    Raises:
        ValueError: it is no dict, is empty, or holds something that is no whole number.
    """
    if not isinstance(table, Mapping) or not table:
        raise ValueError(
            f'{owner}: label_table is a dict raw id -> train id, such as {{0: 0, 7: 1, 255: 255}}, got {table!r}'
        )
    numbers = {}
    for raw, new in table.items():
        if isinstance(raw, str) and raw.isdecimal():
            raw = int(raw)
        if any(isinstance(value, bool) or not isinstance(value, int | np.integer) for value in (raw, new)):
            raise ValueError(
                f'{owner}: label_table maps {raw!r} to {new!r}; both must be whole numbers, a raw id and a train id'
            )
        numbers[int(raw)] = int(new)
    return numbers


def check_metainfo(metainfo: dict, owner: str) -> None:
    """Check the lists by class name.

    Raises:
        ValueError: classes are missing, doubled or more than 255, a list names something that is not a class, a rare
            class has an impossible weight or threshold, or a protocol an unknown key.
    """
    classes = list(metainfo.get('classes') or ())
    if not classes or len(set(classes)) != len(classes):
        raise ValueError(f'{owner}: metainfo needs `classes`, a list of different names, got {classes}')
    if len(classes) > IGNORE_INDEX:
        raise ValueError(
            f'{owner}: {len(classes)} classes are more than {IGNORE_INDEX}, the number that labels of 8 '
            f'bits have room for beside {IGNORE_INDEX} (ignore). Join classes with label_table'
        )
    rare = metainfo.get('rare_classes', ())
    for entry in rare:
        if (
            set(entry) != {'name', 'weight', 'min_pixels'}
            or entry['weight'] < 1
            or int(entry['weight']) != entry['weight']
            or entry['min_pixels'] < 0
        ):
            raise ValueError(
                f'{owner}: an entry of rare_classes is dict(name=..., weight=..., min_pixels=...) with an '
                f'integer weight of 1 or more and min_pixels of 0 or more, got {dict(entry)}'
            )
    lists = dict(thing_classes=metainfo.get('thing_classes', ()), rare_classes=[entry['name'] for entry in rare])
    for name, protocol in metainfo.get('protocols', {}).items():
        if isinstance(protocol, dict) and not set(protocol) <= {'classes', 'condition'}:
            raise ValueError(
                f'{owner}: the protocol {name} is a list of classes or dict(classes=..., condition=...), '
                f'got {dict(protocol)}'
            )
        named = protocol.get('classes') if isinstance(protocol, dict) else protocol
        lists[f'protocols.{name}'] = named or ()
    for key, names in lists.items():
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise ValueError(
                f'{owner}: {key} names {unknown}, which are not among the classes {classes}. Correct '
                f'the list; if you chose other classes with metainfo, give it a matching '
                f'{key.split(".")[0]} too'
            )


def own_transform(transform: dict | Callable) -> dict | Callable:
    """The transform of this project for one of mmseg: ``LoadAnnotations`` knows no label table, and ``PackSegInputs``
    drops what the samplings and ``PseudoMargins`` add.

    Raises:
        ValueError: ``LoadAnnotations`` with ``reduce_zero_label``.
    """
    kind = transform.get('type') if isinstance(transform, Mapping) else None
    if kind == 'LoadAnnotations':
        if transform.get('reduce_zero_label'):
            raise ValueError(
                'LoadAnnotations(reduce_zero_label=True) is not for the data sets of this project: map '
                'the ids with label_table instead, for example {0: 255, 1: 0, 2: 1}'
            )
        return dict(type='LoadLabels')
    if kind == 'PackSegInputs' and set(transform) == {'type'}:
        return dict(type='PackUDAInputs')
    return transform
