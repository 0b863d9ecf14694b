"""Intersection over union per class, over the classes that occur in the truth."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor
from torch.nn.functional import interpolate

from udass.evaluation.counts import ImageCounts
from udass.io.writing import write_image, write_text


@dataclass(frozen=True)
class IoUTable:
    """Metrics of a test set; all shares are in [0, 1], NaN for classes that the truth does not contain.

    Attributes:
        classes (tuple[str, ...]): names.
        iou (tuple[float, ...]): intersection over union per class.
        recall (tuple[float, ...]): share of the class's true pixels that were found ("Acc" in mmseg).
        pixel_accuracy (float): share of all labelled pixels that are right.
        protocols (dict[str, float]): additional means of the IoU, over some classes or some images.
        datasets (dict[str, IoUTable]): the tables of several test sets by name; the values above are then their means,
            each over the test sets that have it. Empty for one test set.
    """

    classes: tuple[str, ...]
    iou: tuple[float, ...]
    recall: tuple[float, ...]
    pixel_accuracy: float
    protocols: dict[str, float] = field(default_factory=dict)
    datasets: dict[str, 'IoUTable'] = field(default_factory=dict)

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that the truth does not contain: they have no IoU and do not count in the means."""
        return tuple(name for name, value in zip(self.classes, self.iou, strict=True) if math.isnan(value))

    @property
    def mean_iou(self) -> float:
        """Mean over the classes; of several test sets the mean of their means."""
        return float(np.nanmean([table.mean_iou for table in self.datasets.values()] or self.iou))

    @property
    def mean_recall(self) -> float:
        """Mean over the classes; of several test sets the mean of their means."""
        return float(np.nanmean([table.mean_recall for table in self.datasets.values()] or self.recall))

    def to_text(self) -> str:
        """The table in percent, with the means in the last row; several test sets side by side."""
        return self._side_by_side() if self.datasets else self._alone()

    def _side_by_side(self) -> str:
        tables = [*self.datasets.values(), self]
        text = PrettyTable(['IoU', *self.datasets, f'mean of {len(self.datasets)}'], align='r')
        text.align['IoU'] = 'l'
        for place, name in enumerate(self.classes):
            values = [_percent(table.iou[place]) for table in tables]
            text.add_row([name, *values], divider=name == self.classes[-1])
        text.add_row(['mean', *(_percent(table.mean_iou) for table in tables)])
        for name in (name for name in self.protocols if name not in dataset_keys(self.datasets)):
            text.add_row([name, *(_percent(table.protocols.get(name, math.nan)) for table in tables)])
        text.add_row(['mean recall', *(_percent(table.mean_recall) for table in tables)])
        text.add_row(['pixel accuracy', *(_percent(table.pixel_accuracy) for table in tables)])
        return f'{text.get_string()}\nall values in percent; - is what the truth does not contain'

    def _alone(self) -> str:
        table = PrettyTable(['class', 'IoU', 'recall'], align='r')
        table.align['class'] = 'l'
        for name, iou, recall in zip(self.classes, self.iou, self.recall, strict=True):
            table.add_row([name, _percent(iou), _percent(recall)], divider=name == self.classes[-1])
        table.add_row(['mean', _percent(self.mean_iou), _percent(self.mean_recall)])
        for name, value in self.protocols.items():
            table.add_row([name, _percent(value), ''])
        lines = [table.get_string()]
        if self.absent:
            absent = f'{len(self.absent)} of {len(self.classes)} classes do not occur in the truth'
            lines.append(f'{absent} and do not count in the means: {", ".join(self.absent)}')
        return '\n'.join([*lines, f'pixel accuracy {_percent(self.pixel_accuracy)} (all values in percent)'])

    def to_dict(self) -> dict:
        """For JSON: percent, None instead of NaN."""
        result = {
            'mIoU': _rounded(self.mean_iou),
            'mean_recall': _rounded(self.mean_recall),
            'pixel_accuracy': _rounded(self.pixel_accuracy),
            'absent': list(self.absent),
            'IoU': dict(zip(self.classes, map(_rounded, self.iou), strict=True)),
        }
        result |= {name: _rounded(value) for name, value in self.protocols.items()}
        if self.datasets:
            result['datasets'] = {name: table.to_dict() for name, table in self.datasets.items()}
        return result


def dataset_keys(names: Iterable[str]) -> list[str]:
    """Names of the mean IoU of each of several test sets among the results."""
    return [f'mIoU_{name}' for name in names]


def join_tables(tables: Mapping[str, IoUTable]) -> IoUTable:
    """The table of several test sets by name: means of their values, each over the test sets that have it."""
    parts = list(tables.values())

    def mean(values: Iterable[float]) -> float:
        present = [value for value in values if not math.isnan(value)]
        return sum(present) / len(present) if present else math.nan

    names = dict.fromkeys(name for part in parts for name in part.protocols)
    protocols = {name: mean(part.protocols.get(name, math.nan) for part in parts) for name in names}
    means = dict(zip(dataset_keys(tables), (part.mean_iou for part in parts), strict=True))
    return IoUTable(
        classes=parts[0].classes,
        iou=tuple(map(mean, zip(*(part.iou for part in parts), strict=True))),
        recall=tuple(map(mean, zip(*(part.recall for part in parts), strict=True))),
        pixel_accuracy=mean(part.pixel_accuracy for part in parts),
        protocols={**means, **protocols},
        datasets=dict(tables),
    )


def confusion_matrix(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Count pixels by true class (rows) and predicted class (columns): (C, C) int64 on the CPU, for class ids of any
    one shape; true ids that are no class, such as 255, do not count."""
    predicted, truth = predicted.long(), truth.long()
    valid = (truth >= 0) & (truth < num_classes) & (predicted >= 0) & (predicted < num_classes)
    pairs = torch.where(valid, truth * num_classes + predicted, num_classes**2).flatten()
    return torch.bincount(pairs, minlength=num_classes**2 + 1)[:-1].view(num_classes, num_classes).cpu()


def class_iou(confusion: Tensor) -> Tensor:
    """IoU per class of confusion matrices (..., C, C): (..., C) float64, NaN for classes that the truth lacks.

    mmseg counts a class that the truth lacks as 0 as soon as one pixel is predicted as it. These pixels already count
    against the classes that they belong to.
    """
    # Double precision: single loses counts above 2**24 pixels, 8 Cityscapes images.
    confusion = confusion.double()
    right, labelled = confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(-1)
    return (right / (confusion.sum(-2) + labelled - right)).where(labelled > 0, torch.nan)


def iou_table(confusion: Tensor, classes: Sequence[str], name: str = 'the test set') -> IoUTable:
    """Metrics of a confusion matrix (C, C); ``name`` is for the ValueError if not one pixel has a label."""
    if confusion.sum() == 0:
        raise ValueError(
            f'no pixel of {name} has a label: nothing can be evaluated. Look at the label files and '
            'at the label table of the dataset'
        )
    right = confusion.double().diagonal()
    recall = right / confusion.sum(1)
    accuracy = float(right.sum() / confusion.sum())
    return IoUTable(tuple(classes), tuple(class_iou(confusion).tolist()), tuple(recall.tolist()), accuracy)


@METRICS.register_module()
class ClassIoUMetric(BaseMetric):
    """IoU per class in percent, at the size of the truth, over the classes that occur in it.

    After an evaluation ``table`` holds the full result (on the main process) and ``details``, ready for JSON:
    ``classes``; ``confusion`` (C, C), pixels by true class (rows) and predicted class; ``images``, a list of ``image``
    (path), ``mIoU`` and ``IoU`` by class in percent, None for classes that the truth of the image does not contain, and
    ``prediction``, the file below ``output_dir``, if any. ``counts`` has the confusion matrix of every image.

    ``protocols`` in the metainfo of the data set are additional means to report, each under its name: a list of class
    names, e.g. ``mIoU16=['road', ...]``, or ``dict(condition='fog', classes=[...])``: only the images whose metainfo
    has that ``condition``, and all classes if none are named. Pixels of the other classes still count as wrong
    predictions of the named ones. A mean over nothing is left out.

    The test sets that a ``ConcatDataset`` joins are reported side by side, under its ``names``: a column of the table
    for each, ``mIoU_<name>`` among the results, ``datasets`` in the JSON. ``mIoU`` and all other values are then means
    over the test sets, in which each counts once, whatever the number of its images.

    Args:
        ignore_index: label of pixels that do not count.
        output_dir: folder for the predictions as PNG files of class ids; None writes none.
        collect_device, prefix: see mmengine's ``BaseMetric``. ``gpu`` stands for the connection of the processes, which
            may be one of CPUs, ``cpu`` for files in the working folder.
        image_root: folder of the images. A prediction is named by the path of its image below it; None takes the name
            of the image alone. ``udass test`` sets it.
    """

    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(
        self,
        ignore_index: int = 255,
        output_dir: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
        image_root: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.image_root = image_root
        self._images: dict[str, str] = {}
        self.table: IoUTable | None = None
        self.details: dict | None = None
        self.counts: ImageCounts | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            # A clip is evaluated on frame 0, the one that is segmented.
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'{sample.get("img_path")} has no label to compare with: test on a labelled data set '
                    '(test_dataloader.dataset), or segment images with udass infer'
                )
            truth = sample['gt_sem_seg']['data'][0]
            predicted = prediction_at(sample, truth.shape)[0]
            truth = truth.to(predicted)
            truth = truth.masked_fill(truth == self.ignore_index, -1)
            result = {
                'confusion': confusion_matrix(predicted, truth, len(self.dataset_meta['classes'])),
                'condition': sample.get('condition'),
                'dataset': sample.get('dataset_name'),
                'image': sample.get('img_path'),
                'prediction': None if self.output_dir is None else self._write(sample['img_path'], predicted),
            }
            self.results.append(result)

    def _write(self, image: str, predicted: Tensor) -> str:
        """Write the prediction for an image, and return the name of its file."""
        if len(self.dataset_meta['classes']) > 256:
            raise ValueError(
                f'ClassIoUMetric writes class ids of 8 bits, too few for '
                f'{len(self.dataset_meta["classes"])} classes: leave output_dir out'
            )
        name = prediction_name(image, self.image_root)
        self._check_unique(name, image)
        write_image(self.output_dir / name, predicted.cpu().numpy().astype(np.uint8))
        return name

    def _check_unique(self, name: str, image: str) -> None:
        """Refuse a second image whose prediction would take the file of the first."""
        other = self._images.setdefault(name, image)
        if other != image:
            raise ValueError(
                f'the predictions of {other} and {image} would both be named {name}: set image_root of '
                'ClassIoUMetric to the folder that holds both images, as udass test does'
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        if not results:
            raise ValueError('the test set is empty: correct the paths of the data set')
        for result in results:
            # Other processes have written files, too.
            if result['prediction'] is not None:
                self._check_unique(result['prediction'], result['image'])
        names = [result['dataset'] for result in results]
        tables = {
            name: self._table(name, [result for result in results if result['dataset'] == name])
            for name in dict.fromkeys(names)
        }
        self.table = table = join_tables(tables) if len(tables) > 1 else next(iter(tables.values()))
        by_image = torch.stack([result['confusion'] for result in results])
        self.details = {
            'classes': list(table.classes),
            'confusion': by_image.sum(0).tolist(),
            'images': [_image_metrics(result) for result in results],
        }
        images = [str(result['image']) for result in results]
        self.counts = ImageCounts(images, table.classes, by_image.numpy(), names if len(tables) > 1 else ())
        MMLogger.get_current_instance().info(f'\n{table.to_text()}')
        means = dict(mIoU=table.mean_iou, mAcc=table.mean_recall, aAcc=table.pixel_accuracy, **table.protocols)
        return {name: _rounded(value) for name, value in means.items()}

    def _table(self, name: str | None, results: list[dict]) -> IoUTable:
        """The table of one test set, of which these are the results of all images."""
        confusion = torch.stack([result['confusion'] for result in results]).sum(0)
        table = iou_table(confusion, self.dataset_meta['classes'], name or 'the test set')
        return replace(table, protocols=protocol_means(self.dataset_meta.get('protocols', {}), table, results))


def _image_metrics(result: dict) -> dict:
    """IoU of one image in percent, rounded to hundredths, by class and their mean; None where the truth has none."""
    iou = [None if math.isnan(share) else 100 * share for share in class_iou(result['confusion']).tolist()]
    present = [value for value in iou if value is not None]
    metrics = {
        'image': result['image'],
        'mIoU': round(sum(present) / len(present), 2) if present else None,
        'IoU': [None if value is None else round(value, 2) for value in iou],
    }
    return metrics if result['prediction'] is None else {**metrics, 'prediction': result['prediction']}


def protocol_means(
    protocols: Mapping[str, Sequence[str] | Mapping], table: IoUTable, results: Sequence[dict]
) -> dict[str, float]:
    """Means of the IoU by protocol (see ``ClassIoUMetric``), in [0, 1]; a protocol of which the truth has no class or
    image is left out. ``results`` hold ``condition`` and ``confusion`` (C, C) of each image."""
    means = {}
    for protocol_name, protocol in protocols.items():
        options = protocol if isinstance(protocol, Mapping) else {'classes': protocol}
        part = table
        if options.get('condition') is not None:
            chosen = [result['confusion'] for result in results if result['condition'] == options['condition']]
            if sum(confusion.sum() for confusion in chosen) == 0:
                continue
            part = iou_table(torch.stack(chosen).sum(0), table.classes)
        names = options.get('classes') or table.classes
        pairs = zip(table.classes, part.iou, strict=True)
        present = [value for name, value in pairs if name in names and not math.isnan(value)]
        if present:
            means[protocol_name] = sum(present) / len(present)
    return means


def prediction_name(image: str, root: str | None) -> str:
    """Name of the PNG file for the prediction of an image: its path below ``root``, with '/' between folders; its name
    alone without a root, or outside of it."""
    path = Path(os.path.abspath(image))
    folder = path.parent if root is None else Path(os.path.abspath(root))
    below = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return below.with_suffix('.png').as_posix()


def prediction_at(sample: dict, size: tuple[int, int]) -> Tensor:
    """Class ids (1, H, W) of a sample's prediction at the size of the truth."""
    labels = sample['pred_sem_seg']['data']
    if labels.shape[-2:] == size:
        return labels
    if 'seg_logits' in sample and len(sample['seg_logits']['data']) > 1:
        logits = sample['seg_logits']['data'][None]
        return interpolate(logits, size=size, mode='bilinear', align_corners=False)[0].argmax(0, keepdim=True)
    return interpolate(labels[None].float(), size=size, mode='nearest-exact')[0].to(labels.dtype)


def find_metric(metrics: Sequence[BaseMetric]) -> ClassIoUMetric | None:
    """The IoU metric among those of an evaluator, None where something else is measured."""
    return next((metric for metric in metrics if isinstance(metric, ClassIoUMetric)), None)


def extra_scores(values: Mapping[str, float], table: IoUTable | None) -> dict[str, float]:
    """Results of an evaluation besides the IoU, e.g. temporal consistency; all of them without a table."""
    known = () if table is None else ('mIoU', 'mAcc', 'aAcc', *table.protocols)
    return {name: float(value) for name, value in values.items() if name not in known}


def write_scores(path: Path, metrics: Sequence[BaseMetric], values: Mapping[str, float], **about: object) -> None:
    """Write the results of an evaluation, and ``about`` it, as JSON and, of ``ClassIoUMetric``, the confusion matrix
    and the metrics of every image to ``<path>.details.json``, its pixel counts to ``<path>.counts.npz``
    (`ImageCounts`)."""
    metric = find_metric(metrics)
    table = None if metric is None else metric.table
    content = {**about, **({} if table is None else table.to_dict()), **extra_scores(values, table)}
    write_text(path, json.dumps(content, indent=1) + '\n')
    if metric is not None:
        # On one line: a matrix and a row per image.
        write_text(path.with_suffix('.details.json'), json.dumps(metric.details) + '\n')
        metric.counts.write(path.with_suffix('.counts.npz'))


def _percent(share: float) -> str:
    return '-' if math.isnan(share) else f'{100 * share:.2f}'


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * share, 4)
