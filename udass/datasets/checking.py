"""Walking a data set file by file: what is missing, damaged or does not fit, and how often each class occurs."""
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .base import UDADataset
from .statistics import count_ids, store_counts
from .transforms.loading import LoadLabels, read_filtered_ids, read_image


@dataclass(frozen=True)
class Report:
    """What a data set is like.

    Attributes:
        images: number of image files that belong to it.
        problems: one message per missing, damaged or mismatching file; empty if all is well.
        sizes: (width, height) of the readable images -> how many there are.
        pixels: (C,) labelled pixels per class in usable label files, None for a data set without labels.
        files: (C,) usable label files that show the class, None likewise.
        ignored: pixels of usable label files without a class.
    """
    images: int
    problems: tuple[str, ...]
    sizes: Counter
    pixels: np.ndarray | None = None
    files: np.ndarray | None = None
    ignored: int = 0


@dataclass(frozen=True)
class _Finding:
    """What one sample is like: image size (width, height) or None, counts as of ``count_ids`` or None, problems."""
    size: tuple[int, int] | None
    counts: list[int] | None
    problems: list[str]


def check_dataset(dataset: UDADataset, cache_folder: str | None = None) -> Report:
    """Read every file of a data set, with a progress bar; its pixel counts go to the cache of ``class_statistics``.

    Sizes of image and label may differ by what the ``LoadLabels`` of the pipeline allows. ``indices`` of the data set
    are not regarded.

    Args:
        dataset: built with ``lazy_init=True`` if files may be missing.
        cache_folder: see ``class_statistics``.
    """
    try:
        names = dataset.image_names()
    except (FileNotFoundError, ValueError) as error:
        return Report(images=0, problems=(str(error),), sizes=Counter())
    problems, samples = _list_samples(dataset, names)
    others = list(_other_frames(samples))
    tolerance = _size_tolerance(dataset)

    def check(sample: dict) -> _Finding:
        return _check_sample(dataset, sample, tolerance)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        try:
            everything = list(tqdm(pool.map(check, samples + others), total=len(samples + others), unit='file',
                                   desc=f'Checking {dataset.image_folder}'))
        except BaseException:
            # Ctrl-C: do not read thousands of files first.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for finding in everything:
        problems.extend(finding.problems)
    findings = everything[:len(samples)]
    sizes = Counter(finding.size for finding in findings if finding.size is not None)
    if not dataset.labelled:
        return Report(images=len(names), problems=tuple(problems), sizes=sizes)
    counts = {sample['seg_map_path']: finding.counts for sample, finding in zip(samples, findings, strict=True)
              if finding.counts is not None}
    if counts:
        store_counts(dataset, counts, cache_folder)
    number = len(dataset.metainfo['classes'])
    table = np.array(list(counts.values()), dtype=np.int64).reshape(-1, number + 1)
    return Report(images=len(names), problems=tuple(problems), sizes=sizes, pixels=table[:, :-1].sum(axis=0),
                  files=np.count_nonzero(table[:, :-1], axis=0), ignored=int(table[:, -1].sum()))


def _list_samples(dataset: UDADataset, names: Sequence[str]) -> tuple[list[str], list[dict]]:
    """What is missing, and the samples to read: those without label keep their image only."""
    samples = [dataset.make_sample(name) for name in names]
    if not dataset.labelled:
        return [], samples
    try:
        labels = dataset.label_names()
    except FileNotFoundError as error:
        for sample in samples:
            sample.pop('seg_map_path', None)
        return [str(error)], samples
    problems = []
    images, existing = set(names), set(labels)
    for name, sample in zip(names, samples, strict=True):
        # Some frames of clips need no label.
        if name not in existing and 'seg_map_path' in sample:
            problems.append(f'{sample["seg_map_path"]} is missing: the label of {sample["img_path"]}')
            del sample['seg_map_path']
    for name in labels:
        if name not in images:
            problems.append(f'{dataset.image_path(name)} is missing: the image of {dataset.label_path(name)}')
    return problems, samples


def _other_frames(samples: Sequence[dict]) -> Iterator[dict]:
    """The frames of clips, with their labels, that are not frame t of any; each once."""
    seen = {sample['img_path'] for sample in samples}
    for sample in samples:
        paths = sample.get('frame_paths', ())
        for image, label in zip(paths, sample.get('label_paths') or [None] * len(paths), strict=True):
            if image not in seen:
                seen.add(image)
                yield dict(img_path=image) if label is None else dict(img_path=image, seg_map_path=label)


def _size_tolerance(dataset: UDADataset) -> int:
    """Pixels by which the pipeline lets the sizes of image and label differ."""
    loaders = [transform for transform in dataset.pipeline.transforms if isinstance(transform, LoadLabels)]
    return max((transform.max_size_difference for transform in loaders), default=0)


def _check_sample(dataset: UDADataset, sample: dict, tolerance: int) -> _Finding:
    """Read the files of one sample."""
    problems, size, counts, label_size = [], None, None, None
    try:
        size = read_image(sample['img_path']).shape[1::-1]
    except (OSError, ValueError) as error:
        problems.append(str(error))
    path = sample.get('seg_map_path')
    if path is not None:
        try:
            ids = read_filtered_ids(path, dataset.label_channel, dataset.LABEL_FILTER)
            label_size = ids.shape[1::-1]
            counts = count_ids(ids, path, dataset.label_table, len(dataset.metainfo['classes']))
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if size is not None and label_size is not None:
        difference = max(abs(size[0] - label_size[0]), abs(size[1] - label_size[1]))
        if difference > tolerance:
            problems.append(f'{path} is {label_size[0]}x{label_size[1]} pixels, its image {sample["img_path"]} '
                            f'{size[0]}x{size[1]} (width x height); max_size_difference of LoadLabels is {tolerance}')
    return _Finding(size=size, counts=counts, problems=problems)
