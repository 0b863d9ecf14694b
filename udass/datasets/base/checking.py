"""Read every file of a data set: what is missing, damaged or does not fit, and how often each class occurs."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from udass.datasets.base.dataset import UDADataset, some
from udass.datasets.sampling.counting import count_ids, map_in_threads, warn_of_unseen
from udass.datasets.sampling.statistics import store_counts
from udass.datasets.sampling.streams import isolated_randomness
from udass.datasets.transforms.loading import LoadImage, LoadLabels
from udass.io.images import is_rotated, read_image
from udass.io.labels import read_label_ids

# Of random crops, scales and flips, for each size of image.
_DRAWS = 4


@dataclass
class Report:
    """What a data set is like.

    Attributes:
        images: number of image files that belong to it.
        problems: what is missing, damaged or does not fit. Equal findings about several files are one message.
        warnings: what may be meant so, but is often a mistake.
        sizes: (width, height) of the readable images -> how many there are.
        examples: (width, height) -> name of an image of this size without problems.
        pixels, files: (C,) labelled pixels per class, and usable label files that hold it; None without labels.
        ignored: pixels of usable label files without a class.
    """

    images: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sizes: Counter = field(default_factory=Counter)
    examples: dict[tuple[int, int], str] = field(default_factory=dict)
    pixels: np.ndarray | None = None
    files: np.ndarray | None = None
    ignored: int = 0


@dataclass
class _Finding:
    """Properties of one sample: image size (width, height), counts as of ``count_pixels``, problems."""

    size: tuple[int, int] | None = None
    counts: list[int] | None = None
    is_rotated: bool = False
    problems: list[str] = field(default_factory=list)


def check_dataset(dataset: UDADataset, cache_folder: str | None = None) -> Report:
    """Read every file of a data set, with a progress bar; its pixel counts go to the cache of ``class_statistics``.

    Args:
        dataset: built with ``lazy_init=True`` if files may be missing; its ``indices`` are not regarded.
        cache_folder: see ``class_statistics``.
    """
    try:
        names = dataset.image_names()
    except (FileNotFoundError, ValueError) as error:
        return Report(problems=[str(error)])
    problems, samples = _list_samples(dataset, names)
    everything = samples + list(_other_frames(samples))
    findings = map_in_threads(_checker(dataset), everything, f'Checking {dataset.image_folder}')
    for sample, finding in zip(everything, findings, strict=True):
        files = [sample[key] for key in ('img_path', 'seg_map_path') if key in sample]
        problems += [(text, files) for text in finding.problems]
    report = Report(images=len(names), problems=join_equal(problems))
    counts, rotated = {}, []
    for name, sample, finding in zip(names, samples, findings, strict=False):
        if finding.size is not None:
            report.sizes[finding.size] += 1
            if not finding.problems:
                report.examples[finding.size] = name
        if finding.counts is not None:
            counts[sample['seg_map_path']] = finding.counts
        rotated += [sample['img_path']] * finding.is_rotated
    _warn_of_images(report, dataset, names, rotated)
    if counts:
        store_counts(dataset, counts, cache_folder)
    if dataset.labelled:
        classes = dataset.metainfo['classes']
        table = np.array(list(counts.values()), dtype=np.int64).reshape(-1, len(classes) + 1)
        report.pixels, report.ignored = table[:, :-1].sum(axis=0), int(table[:, -1].sum())
        report.files = np.count_nonzero(table[:, :-1], axis=0)
        warning = warn_of_unseen(classes, report.pixels)
        report.warnings += [warning] * (warning is not None)
    return report


def _warn_of_images(report: Report, dataset: UDADataset, names: Sequence[str], rotated: Sequence[str]) -> None:
    """Add what is unusual about the image files."""
    if rotated:
        report.warnings.append(
            f'{len(rotated)} images have an orientation tag (EXIF), by which viewers turn them and training does not: '
            f'{some(rotated)}. Labels must fit the pixels as they are stored; turn the pixels and remove the tags, for '
            'example with `mogrify -auto-orient`'
        )
    # Without a folder of labels there is nothing to compare with, which is a problem of its own.
    with contextlib.suppress(FileNotFoundError):
        warning = dataset.warn_of_images_left_out(names)
        report.warnings += [warning] * (warning is not None)


def join_equal(findings: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """One message for all findings (message, paths that it may hold, what it is about first) that differ in nothing but
    the files and numbers such as their sizes."""
    kinds: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for text, files in findings:
        # Ids of labels that are not in the table stay.
        ids = re.search(r'label ids \[[^]]*\]', text)
        kind = re.sub(r'ids found: \[[^]]*\]', '', text)
        for file in files:
            kind = kind.replace(file, '<file>')
        kinds.setdefault(re.sub(r'\d+', '#', kind) + (ids[0] if ids else ''), []).append((text, files))
    joined = []
    for (text, _), *rest in kinds.values():
        more = f' (and {len(rest)} more like this: {some([files[0] for _, files in rest])})' if rest else ''
        joined.append(text + more)
    return joined


def check_pipeline(dataset: UDADataset, examples: Mapping[tuple[int, int], str], one_size: bool) -> list[str]:
    """The errors of the pipeline of a data set, equal ones joined, on an image of every size, several times and at the
    smallest random scale.

    Args:
        dataset: its files were checked.
        examples: (width, height) -> name of an image of this size, see ``Report``.
        one_size: whether what leaves the pipeline must have one size, as in training.
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
            text = f'the pipeline fails on images of {width}x{height} pixels: {type(error).__name__}: {error}'
            problems.append((text, [dataset.image_path(name)]))
    if one_size and len(shapes) > 1:
        sizes = ', '.join(f'{shape[-1]}x{shape[-2]} (of an image of {size})' for shape, size in shapes.items())
        text = f'the pipeline gives images of {len(shapes)} sizes, which make no batch: {sizes}. End it with a crop'
        problems.append((f'{text} of one size', [dataset.image_folder]))
    return join_equal(problems)


def _run_pipeline(dataset: UDADataset, name: str) -> Iterator[tuple[int, ...]]:
    """Shapes of what the pipeline makes of a sample, for several draws."""
    for seed in range(_DRAWS):
        # The first draw is the smallest random scale: at it, crops may be too large.
        with isolated_randomness(seed), _smallest_scale(dataset) if seed == 0 else contextlib.nullcontext():
            sample = dataset.pipeline(dataset.complete_info(dataset.make_sample(name)))
        if sample is None:
            raise ValueError('a transform returns None for this image: correct or remove it')
        yield tuple(np.shape(sample['inputs']))


@contextlib.contextmanager
def _smallest_scale(dataset: UDADataset) -> Iterator[None]:
    """Inside, random resizes take the lower end of their range."""
    ranges = {step: step.ratio_range for step in dataset.pipeline.transforms if getattr(step, 'ratio_range', None)}
    try:
        for step, ratio_range in ranges.items():
            step.ratio_range = (min(ratio_range),) * 2
        yield
    finally:
        for step, ratio_range in ranges.items():
            step.ratio_range = ratio_range


def _list_samples(dataset: UDADataset, names: Sequence[str]) -> tuple[list[tuple[str, Sequence[str]]], list[dict]]:
    """What is missing, as ``join_equal`` takes it, and the samples to read: those without label have an image only."""
    samples = {name: dataset.make_sample(name) for name in names}
    if not dataset.labelled:
        return [], list(samples.values())
    problems, labels = [], []
    try:
        labels = dataset.label_names()
    except FileNotFoundError as error:
        problems.append((str(error), [dataset.label_folder]))
    for name in sorted(samples.keys() - set(labels)):
        # Some frames of clips need no label.
        label = samples[name].pop('seg_map_path', None)
        if label is not None and labels:
            image = samples[name]['img_path']
            problems.append((f'{label} is missing: the label of {image}', [label, image]))
    for name in sorted(set(labels) - samples.keys()):
        image, label = dataset.image_path(name), dataset.label_path(name)
        problems.append((f'{image} is missing: the image of {label}', [image, label]))
    return problems, list(samples.values())


def _other_frames(samples: Sequence[dict]) -> Iterator[dict]:
    """The frames of clips, with their labels, that are not frame t of any; each once."""
    seen = {sample['img_path'] for sample in samples}
    for sample in samples:
        paths = sample.get('frame_paths', ())
        for image, label in zip(paths, sample.get('label_paths') or [None] * len(paths), strict=True):
            if image not in seen:
                seen.add(image)
                yield dict(img_path=image) if label is None else dict(img_path=image, seg_map_path=label)


def _checker(dataset: UDADataset) -> Callable[[dict], _Finding]:
    """A function that reads the files of a sample as the pipeline of the data set does."""
    loaders = dataset.pipeline.transforms
    tolerance = max((loader.max_size_difference for loader in loaders if isinstance(loader, LoadLabels)), default=0)
    bit_depth = next((loader.bit_depth for loader in loaders if isinstance(loader, LoadImage)), None)

    def check(sample: dict) -> _Finding:
        finding, path, label_size = _Finding(), sample.get('seg_map_path'), None
        try:
            finding.size = read_image(sample['img_path'], bit_depth=bit_depth).shape[1::-1]
            finding.is_rotated = is_rotated(sample['img_path'])
        except (OSError, ValueError) as error:
            finding.problems.append(str(error))
        if path is not None:
            try:
                ids = read_label_ids(path, dataset.label_channel, dataset.LABEL_FILTER)
                label_size = ids.shape[1::-1]
                finding.counts = count_ids(ids, path, dataset)
            except (OSError, ValueError) as error:
                finding.problems.append(str(error))
        if finding.size and label_size and max(abs(np.subtract(finding.size, label_size))) > tolerance:
            finding.problems.append(
                f'{path} is {label_size[0]}x{label_size[1]} pixels, its image {sample["img_path"]} '
                f'{finding.size[0]}x{finding.size[1]} (width x height); max_size_difference of LoadLabels is '
                f'{tolerance}'
            )
        return finding

    return check
