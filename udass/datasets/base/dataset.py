"""The data set that all others derive from: it lists and pairs files, and names what is missing or wrong."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from udass.datasets.base.metainfo import check_label_table, check_metainfo
from udass.errors import printable
from udass.io.images import IMAGE_SUFFIXES
from udass.io.labels import IGNORE_INDEX
from udass.io.zip_files import files_below


@DATASETS.register_module()
class UDADataset(BaseSegDataset):
    """Images in one folder and, if labelled, one label file per image in another, found recursively.

    An image ``<image_folder>/<name><image_suffix>`` belongs to the label ``<label_folder>/<name><label_suffix>``;
    suffixes are found in either case (``.PNG``), and where a folder is missing, the zip files in the data root are
    searched for it. Images of other kinds that are left out are named in a warning. Each sample's info holds
    ``img_path``, ``seg_map_path`` (labelled only), ``label_table``, ``label_channel`` and ``label_filter``, which
    ``LoadLabels`` reads. Metainfo by class name, beside mmseg's ``classes`` and ``palette``:

    - ``thing_classes``: names;
    - ``rare_classes``: list of dict(name, weight, min_pixels); a class of weight 2 counts as two entries of the list;
    - ``pseudo_margins``: dict(size=(width, height), top, bottom, left, right) in pixels of an image of that size, where
      pseudo-labels are not to be trusted (see ``PseudoMargins``); without it every pixel is;
    - ``protocols``: what is reported beside the mean over all classes, see ``ClassIoUMetric``;
    - ``submission``: what the benchmark's server takes, see ``SubmissionFiles``.

    A data set is a subclass that sets the attributes below. One with options of its own has an ``__init__`` that stores
    them and passes on the rest; ``{split}`` in the name of a folder is replaced by the attribute ``split``.

    Args:
        data_root: folder of the data set.
        image_folder, label_folder: relative to ``data_root``. None = that of the class, here and below.
        image_suffix, label_suffix: ends of the file names, e.g. '_leftImg8bit.png'.
        labelled: False for a target domain: label files are neither looked for nor needed.
        label_table: raw id -> train id, 255 = ignore. An id that is not listed is an error when met. Keys may be
            strings, as in JSON. Without one in the class, None = the identity over the classes plus 255.
        label_channel: None for single-channel and palette labels; else the channel of a colour label file that holds
            the id, counted as in the file (0 = red).
        indices: use only the first n (int) or the given samples of the sorted list.
        pipeline, metainfo, test_mode, lazy_init: as in mmseg; ``LoadAnnotations`` and ``PackSegInputs`` are replaced
            by ``LoadLabels`` and ``PackUDAInputs``.
    """

    IMAGE_FOLDER, LABEL_FOLDER = 'images', 'labels'
    IMAGE_SUFFIX = LABEL_SUFFIX = '.png'
    LABEL_TABLE: dict[int, int] | None = None
    LABEL_CHANNEL: int | None = None
    # Called with the raw ids (H, W) of a label file, returns them with changes that depend on more than the single
    # id; a static function (``staticmethod``). None = the ids are taken as they are.
    LABEL_FILTER: Callable[[np.ndarray], np.ndarray] | None = None
    # Last sentence of the message about missing files.
    DOWNLOAD_HINT = 'Set data_root in the config to the folder that holds the data set.'

    def __init__(
        self,
        *,
        data_root: str,
        image_folder: str | None = None,
        label_folder: str | None = None,
        image_suffix: str | None = None,
        label_suffix: str | None = None,
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
        self.label_channel = self.LABEL_CHANNEL if label_channel is None else label_channel
        # Path with the suffix as given -> path as it is written, where the two differ in case; made when listed.
        self._spellings: dict[str, str] = {}
        images = self.IMAGE_FOLDER.format_map(vars(self)) if image_folder is None else image_folder
        labels = self.LABEL_FOLDER.format_map(vars(self)) if label_folder is None else label_folder
        super().__init__(
            data_root=os.path.expanduser(data_root),
            img_suffix=self.IMAGE_SUFFIX if image_suffix is None else image_suffix,
            seg_map_suffix=self.LABEL_SUFFIX if label_suffix is None else label_suffix,
            data_prefix=dict(img_path=images, seg_map_path=labels),
            metainfo=metainfo,
            indices=indices,
            pipeline=[_replace_transform(transform) for transform in pipeline],
            test_mode=test_mode,
            ignore_index=IGNORE_INDEX,
            lazy_init=True,
        )
        owner = type(self).__name__
        check_metainfo(self._metainfo, owner)
        number = len((self.METAINFO or self._metainfo)['classes'])
        table = check_label_table(self.LABEL_TABLE if label_table is None else label_table, number, owner)
        if self.label_map is not None:
            # mmseg's mapping to a chosen subset of the classes.
            table = {raw: self.label_map.get(new, IGNORE_INDEX) for raw, new in table.items()}
        self.label_table = table
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

    def included(self, name: str) -> bool:
        """Whether the image ``name`` (path below the image folder, without suffix) belongs to the data set."""
        return True

    def sample_info(self, name: str) -> dict:
        """Additional info of a sample, e.g. the weather; ``PackUDAInputs`` passes on the keys of its ``META_KEYS``."""
        return {}

    def explain_filter(self, names: Collection[str]) -> str:
        """One sentence on what could be selected instead, given the names that exist."""
        return f'Found for example {min(names)}.'

    def load_data_list(self) -> list[dict]:
        """List the samples, sorted by name; FileNotFoundError if a folder is missing, holds no image of the given
        suffix, or images have no label, ValueError if ``included`` selects no image."""
        names = self.image_names()
        missing = self.names_without_label(names) if self.labelled else []
        if missing:
            raise FileNotFoundError(
                f'{type(self).__name__}: {len(missing)} of {len(names)} images in {self.image_folder} have no label in '
                f'{self.label_folder}: {some([name + self.img_suffix for name in missing])}. Expected e.g. '
                f'{missing[0]}{self.seg_map_suffix}. Add the labels, remove the images, or set labelled=False if this '
                'is a target domain'
            )
        warning = self.warn_of_images_left_out(names)
        if warning:
            text = f'{type(self).__name__}: {warning}'
            print_log(printable(text), logger='current', level=logging.WARNING)
        return [self.make_sample(name) for name in names]

    def filter_data(self) -> list[dict]:
        """All samples, which mmengine calls for before it takes those of ``indices``; ValueError if these are none, or
        one does not exist."""
        samples, chosen = super().filter_data(), self._indices
        if chosen is None or isinstance(chosen, int) and chosen:
            return samples
        if isinstance(chosen, int) or len(chosen) == 0 or any(not 0 <= index < len(samples) for index in chosen):
            raise ValueError(
                f'{type(self).__name__}: indices={chosen} of the {len(samples)} samples in {self.image_folder}: give a '
                f'number of samples from 1, or a list of some in 0..{len(samples) - 1}'
            )
        return samples

    def image_names(self) -> list[str]:
        """Sorted names of the images that belong to the data set; errors as in ``load_data_list``."""
        found = self._names(self.image_folder, self.img_suffix, 'images')
        if self.labelled and self.label_folder == self.image_folder:
            # Side by side, a.png and a_label.png: labels are no images.
            found = [name for name in found if not (name + self.img_suffix).endswith(self.seg_map_suffix)]
        return self._selected([name for name in found if self.included(name)], found)

    def label_names(self) -> list[str]:
        """Sorted names of the labels that belong to the data set; FileNotFoundError if the folder is missing or holds
        none."""
        return [name for name in self._names(self.label_folder, self.seg_map_suffix, 'labels') if self.included(name)]

    def names_without_label(self, names: Sequence[str]) -> list[str]:
        """Those of the names that have no label file."""
        labels = set(self.label_names())
        return [name for name in names if name not in labels]

    def warn_of_images_left_out(self, names: Sequence[str]) -> str | None:
        """A sentence on images of other kinds (``IMAGE_SUFFIXES``) beside those of the data set, None if there are
        none; with labels, only those that have one count."""
        stem, dot, kind = self.img_suffix.lower().rpartition('.')
        if dot + kind not in IMAGE_SUFFIXES:
            return None
        others = tuple(stem + suffix for suffix in IMAGE_SUFFIXES if suffix != dot + kind)
        known = set(names)
        labels = set(self.label_names()) if self.labelled else None
        left_out = []
        for file in files_below(self.image_folder) or ():
            rest = os.path.splitext(file)[0]
            name = rest[: len(rest) - len(stem)]
            new = file.lower().endswith(others) and name not in known and self.included(name)
            if new and (labels is None or name in labels):
                left_out.append(file)
        if not left_out:
            return None
        return (
            f'{len(left_out)} images in {self.image_folder} do not end in {self.img_suffix} and are left out: '
            f'{some(sorted(left_out))}. Convert or rename them to use them'
        )

    def make_sample(self, name: str) -> dict:
        """Info of the sample ``name``, with the paths of its files."""
        sample = dict(img_path=self.image_path(name), seg_fields=[])
        if self.labelled:
            sample['seg_map_path'] = self.label_path(name)
        return {**sample, **self.sample_info(name)}

    def image_path(self, name: str) -> str:
        """Path of the image ``name``."""
        return self._path(self.image_folder, name + self.img_suffix)

    def label_path(self, name: str) -> str:
        """Path of the label of the image ``name``."""
        return self._path(self.label_folder, name + self.seg_map_suffix)

    def _path(self, folder: str, file: str) -> str:
        path = os.path.join(folder, file)
        return self._spellings.get(path, path)

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

    def _selected(self, names: list[str], found: Sequence[str]) -> list[str]:
        if not names:
            raise ValueError(
                f'{type(self).__name__}: the options select none of the {len(found)} images in {self.image_folder}. '
                f'{self.explain_filter(found)}'
            )
        return names

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Sorted paths below ``folder`` without the suffix, with '/' between folders."""
        files = files_below(folder)
        if files is None:
            raise FileNotFoundError(
                f'{type(self).__name__}: the folder {folder} does not exist; it should hold the {what} (*{suffix}). '
                f'{self.DOWNLOAD_HINT}'
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
                    f'{type(self).__name__}: {folder} holds both {other} and {file}, which are the {what} of one '
                    'sample. Rename or remove one of them'
                )
            if file != name + suffix:
                self._spellings[os.path.join(folder, name + suffix)] = os.path.join(folder, file)
        if not found:
            content = ', '.join(f'{count} {kind}' for kind, count in others.most_common(3)) or 'no files at all'
            raise FileNotFoundError(
                f'{type(self).__name__}: no {what} *{suffix} in {folder} (it holds {content}). {self.DOWNLOAD_HINT}'
            )
        return sorted(found)


def some(names: Sequence[str], number: int = 3) -> str:
    """The first names of a list that may be long, for a message."""
    return ', '.join(names[:number]) + (', ...' if len(names) > number else '')


def _replace_transform(transform: dict | Callable) -> dict | Callable:
    """The transform of this project for one of mmseg: ``LoadAnnotations`` has no label table, and ``PackSegInputs``
    drops what the samplings and ``PseudoMargins`` add."""
    kind = transform.get('type') if isinstance(transform, Mapping) else None
    if kind == 'LoadAnnotations':
        if transform.get('reduce_zero_label'):
            raise ValueError(
                'LoadAnnotations(reduce_zero_label=True) is not for the data sets of this project: map the ids with '
                'label_table instead, for example {0: 255, 1: 0, 2: 1}'
            )
        return dict(type='LoadLabels')
    if kind == 'PackSegInputs' and set(transform) == {'type'}:
        return dict(type='PackUDAInputs')
    return transform
