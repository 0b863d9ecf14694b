"""Walking a data set file by file: what is missing, damaged or does not fit, and how often each class occurs."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm import tqdm

from udass.datasets.base import UDADataset
from udass.datasets.sampling.statistics import count_ids, store_counts
from udass.datasets.sampling.streams import isolated_randomness
from udass.datasets.transforms.loading import LoadImage, LoadLabels
from udass.io.images import is_rotated, read_image
from udass.io.labels import read_label_ids

# Of random crops, scales and flips, for each size of image.
_DRAWS = 4
# Of equal findings, beside the first.
_NAMED = 3


@dataclass(frozen=True)
class Report:
    """What a data set is like.

    Attributes:
        images: number of image files that belong to it.
        problems: what is missing, damaged or does not fit; empty if all is well. Equal findings about several files are
            one message.
        warnings: what may be meant so, but is often a mistake.
        sizes: (width, height) of the readable images -> how many there are.
        examples: (width, height) -> name of an image of this size without problems.
        pixels: (C,) labelled pixels per class in usable label files, None for a data set without labels.
        files: (C,) usable label files that show the class, None likewise.
        ignored: pixels of usable label files without a class.
    """

    images: int
    problems: tuple[str, ...]
    sizes: Counter
    warnings: tuple[str, ...] = ()
    examples: Mapping[tuple[int, int], str] = field(default_factory=dict)
    pixels: np.ndarray | None = None
    files: np.ndarray | None = None
    ignored: int = 0


@dataclass(frozen=True)
class _Finding:
    """What one sample is like: image size (width, height) or None, counts as of ``count_ids`` or None, whether viewers
    turn the image, problems."""

    size: tuple[int, int] | None
    counts: list[int] | None
    is_turned: bool
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
    missing, samples = _list_samples(dataset, names)
    others = list(_other_frames(samples))
    everything = _read_all(dataset, samples + others)
    problems = missing
    for sample, finding in zip(samples + others, everything, strict=True):
        files = [sample[key] for key in ('img_path', 'seg_map_path') if key in sample]
        problems += [(text, files) for text in finding.problems]
    findings = everything[: len(samples)]
    report = Report(
        images=len(names),
        problems=tuple(join_equal(problems)),
        sizes=Counter(finding.size for finding in findings if finding.size is not None),
        warnings=_warn_of_images(dataset, names, samples, findings),
        examples={
            finding.size: name
            for name, finding in zip(names, findings, strict=True)
            if finding.size is not None and not finding.problems
        },
    )
    if not dataset.labelled:
        return report
    return _add_counts(
        report,
        dataset,
        cache_folder,
        {
            sample['seg_map_path']: finding.counts
            for sample, finding in zip(samples, findings, strict=True)
            if finding.counts is not None
        },
    )


def _read_all(dataset: UDADataset, samples: Sequence[dict]) -> list[_Finding]:
    """What the files of the samples are like, read in threads with a progress bar."""
    tolerance, bit_depth = _size_tolerance(dataset), _bit_depth(dataset)

    def check(sample: dict) -> _Finding:
        return _check_sample(dataset, sample, tolerance, bit_depth)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        try:
            return list(
                tqdm(pool.map(check, samples), total=len(samples), unit='file', desc=f'Checking {dataset.image_folder}')
            )
        except BaseException:
            # Ctrl-C: do not read thousands of files first.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _add_counts(
    report: Report, dataset: UDADataset, cache_folder: str | None, counts: Mapping[str, list[int]]
) -> Report:
    """The report with the pixels per class, which are also kept for ``class_statistics``."""
    if counts:
        store_counts(dataset, counts, cache_folder)
    classes = dataset.metainfo['classes']
    table = np.array(list(counts.values()), dtype=np.int64).reshape(-1, len(classes) + 1)
    pixels = table[:, :-1].sum(axis=0)
    unseen = [name for name, count in zip(classes, pixels, strict=True) if count == 0]
    warnings = report.warnings
    if unseen and pixels.any():
        warnings += (
            f'no label shows {", ".join(unseen)} ({len(unseen)} of {len(classes)} classes): nothing can be '
            'learnt of them, and a test without them says nothing of them. If the files should show them, '
            'correct label_table',
        )
    return replace(
        report,
        pixels=pixels,
        files=np.count_nonzero(table[:, :-1], axis=0),
        ignored=int(table[:, -1].sum()),
        warnings=warnings,
    )


def _warn_of_images(
    dataset: UDADataset, names: Sequence[str], samples: Sequence[dict], findings: Sequence[_Finding]
) -> tuple[str, ...]:
    """What is unusual about the image files."""
    warnings = []
    turned = [sample['img_path'] for sample, finding in zip(samples, findings, strict=True) if finding.is_turned]
    if turned:
        warnings.append(
            f'{len(turned)} images have an orientation tag (EXIF), by which viewers turn them and training '
            f'does not: {_some(turned)}. Labels must fit the pixels as they are stored; turn the pixels '
            'and remove the tags, for example with `mogrify -auto-orient`'
        )
    # Without labels there is nothing to compare with, and the listing has said it.
    with contextlib.suppress(FileNotFoundError):
        left_out = dataset.images_left_out(names)
        if left_out:
            warnings.append(
                f'{len(left_out)} images do not end in {dataset.img_suffix} and are left out: '
                f'{_some(left_out)}. Convert or rename them to use them'
            )
    return tuple(warnings)


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:_NAMED]) + (', ...' if len(names) > _NAMED else '')


def join_equal(findings: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """One message for all findings that differ in nothing but the files and numbers such as their sizes.

    Args:
        findings: (message, paths that it may hold, what it is about first).
    """
    kinds: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for text, files in findings:
        kinds.setdefault(_kind(text, files), []).append((text, files))
    joined = []
    for (text, _), *rest in kinds.values():
        more = f' (and {len(rest)} more like this: {_some([files[0] for _, files in rest])})' if rest else ''
        joined.append(text + more)
    return joined


def _kind(text: str, files: Sequence[str]) -> str:
    """What is left of a message without files and numbers; ids of labels that are not in the table stay."""
    ids = re.search(r'label ids \[[^]]*\]', text)
    for file in files:
        text = text.replace(file, '<file>')
    return re.sub(r'\d+', '#', re.sub(r'ids found: \[[^]]*\]', '', text)) + (ids[0] if ids else '')


def check_pipeline(dataset: UDADataset, examples: Mapping[tuple[int, int], str], one_size: bool) -> list[str]:
    """Run the pipeline of a data set on an image of every size, several times and at the smallest random scale.

    Args:
        dataset: its files were checked.
        examples: (width, height) -> name of an image of this size, see ``Report``.
        one_size: whether what leaves the pipeline must have one size, as in training.

    Returns:
        What fails, equal findings joined; empty if all is well.
    """
    # Lists the frames that clips consist of; without a past a frame may belong to none.
    there = set(dataset.image_names())
    problems, shapes = [], {}
    for (width, height), name in examples.items():
        if name not in there:
            continue
        try:
            for shape in _run_pipeline(dataset, name):
                shapes.setdefault(shape, f'{width}x{height}')
        # Transforms, also those of others, fail in many ways.
        except Exception as error:
            problems.append(
                (
                    f'the pipeline fails on images of {width}x{height} pixels: {type(error).__name__}: {error}',
                    [dataset.image_path(name)],
                )
            )
    if one_size and len(shapes) > 1:
        sizes = ', '.join(f'{shape[-1]}x{shape[-2]} (of an image of {size})' for shape, size in shapes.items())
        problems.append(
            (
                f'the pipeline gives images of {len(shapes)} sizes, which make no batch: {sizes}. End it with '
                'a crop of one size',
                [dataset.image_folder],
            )
        )
    return join_equal(problems)


def _run_pipeline(dataset: UDADataset, name: str) -> Iterator[tuple[int, ...]]:
    """Shapes of what the pipeline makes of a sample, for several draws."""
    for seed in range(_DRAWS):
        # The first draw is the smallest random scale: at it, crops may be too large.
        with isolated_randomness(seed), _smallest_scale(dataset) if seed == 0 else contextlib.nullcontext():
            sample = dataset.pipeline(dataset.complete_info(dataset.make_sample(name)))
        if sample is None:
            raise ValueError('a transform rejects the sample')
        yield tuple(np.shape(sample['inputs']))


@contextlib.contextmanager
def _smallest_scale(dataset: UDADataset) -> Iterator[None]:
    """Inside, random resizes take the lower end of their range."""
    random = [transform for transform in dataset.pipeline.transforms if getattr(transform, 'ratio_range', None)]
    ranges = [transform.ratio_range for transform in random]
    for transform in random:
        transform.ratio_range = (min(transform.ratio_range), min(transform.ratio_range))
    try:
        yield
    finally:
        for transform, ratio_range in zip(random, ranges, strict=True):
            transform.ratio_range = ratio_range


def _list_samples(dataset: UDADataset, names: Sequence[str]) -> tuple[list[tuple[str, Sequence[str]]], list[dict]]:
    """What is missing, as ``join_equal`` takes it, and the samples to read: those without label have an image only."""
    samples = [dataset.make_sample(name) for name in names]
    if not dataset.labelled:
        return [], samples
    try:
        labels = dataset.label_names()
    except FileNotFoundError as error:
        for sample in samples:
            sample.pop('seg_map_path', None)
        return [(str(error), [dataset.label_folder])], samples
    problems = []
    images, existing = set(names), set(labels)
    for name, sample in zip(names, samples, strict=True):
        # Some frames of clips need no label.
        if name not in existing and 'seg_map_path' in sample:
            label = sample.pop('seg_map_path')
            problems.append((f'{label} is missing: the label of {sample["img_path"]}', [label, sample['img_path']]))
    for name in labels:
        if name not in images:
            image, label = dataset.image_path(name), dataset.label_path(name)
            problems.append((f'{image} is missing: the image of {label}', [image, label]))
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


def _bit_depth(dataset: UDADataset) -> int | None:
    """Bits of 16-bit files that the pipeline reads."""
    return next(
        (transform.bit_depth for transform in dataset.pipeline.transforms if isinstance(transform, LoadImage)), None
    )


def _check_sample(dataset: UDADataset, sample: dict, tolerance: int, bit_depth: int | None) -> _Finding:
    """Read the files of one sample."""
    problems, size, counts, label_size = [], None, None, None
    try:
        size = read_image(sample['img_path'], bit_depth=bit_depth).shape[1::-1]
    except (OSError, ValueError) as error:
        problems.append(str(error))
    path = sample.get('seg_map_path')
    if path is not None:
        try:
            ids = read_label_ids(path, dataset.label_channel, dataset.LABEL_FILTER)
            label_size = ids.shape[1::-1]
            counts = count_ids(ids, path, dataset.label_table, len(dataset.metainfo['classes']))
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if size is not None and label_size is not None:
        difference = max(abs(size[0] - label_size[0]), abs(size[1] - label_size[1]))
        if difference > tolerance:
            problems.append(
                f'{path} is {label_size[0]}x{label_size[1]} pixels, its image {sample["img_path"]} '
                f'{size[0]}x{size[1]} (width x height); max_size_difference of LoadLabels is {tolerance}'
            )
    return _Finding(
        size=size, counts=counts, problems=problems, is_turned=size is not None and is_rotated(sample['img_path'])
    )
