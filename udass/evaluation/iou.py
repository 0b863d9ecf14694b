"""Intersection over union per class, over the classes that occur in the truth."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor
from torch.nn.functional import interpolate

from udass.io.writing import write_image, write_text


@dataclass(frozen=True)
class IoUTable:
    """Scores of a test set; all shares are in [0, 1], NaN for classes that the truth does not contain.

    Attributes:
        classes (tuple[str, ...]): names.
        iou (tuple[float, ...]): intersection over union per class.
        recall (tuple[float, ...]): share of the class's true pixels that were found ("Acc" in mmseg).
        pixel_accuracy (float): share of all labelled pixels that are right.
        protocols (dict[str, float]): further means of the IoU, over some classes or some images.
    """

    classes: tuple[str, ...]
    iou: tuple[float, ...]
    recall: tuple[float, ...]
    pixel_accuracy: float
    protocols: dict[str, float] = field(default_factory=dict)

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that the truth does not contain: they have no score and do not count in the means."""
        return tuple(name for name, value in zip(self.classes, self.iou, strict=True) if math.isnan(value))

    @property
    def mean_iou(self) -> float:
        return float(np.nanmean(self.iou))

    @property
    def mean_recall(self) -> float:
        return float(np.nanmean(self.recall))

    def mean_iou_of(self, names: Sequence[str]) -> float:
        """Mean over some classes, those that the truth lacks left out; NaN if it lacks all of them."""
        values = [
            value for name, value in zip(self.classes, self.iou, strict=True) if name in names and not math.isnan(value)
        ]
        return sum(values) / len(values) if values else math.nan

    def to_text(self) -> str:
        """The table in percent, with the means in the last row."""
        table = PrettyTable(['class', 'IoU', 'recall'], align='r')
        table.align['class'] = 'l'
        rows = list(zip(self.classes, self.iou, self.recall, strict=True))
        for number, (name, iou, recall) in enumerate(rows, start=1):
            table.add_row([name, _percent(iou), _percent(recall)], divider=number == len(rows))
        table.add_row(['mean', _percent(self.mean_iou), _percent(self.mean_recall)])
        for name, value in self.protocols.items():
            table.add_row([name, _percent(value), ''])
        note = ''
        if self.absent:
            note = (
                f'\n{len(self.absent)} of {len(self.classes)} classes do not occur in the truth and do not '
                f'count in the means: {", ".join(self.absent)}'
            )
        return f'{table.get_string()}{note}\npixel accuracy {_percent(self.pixel_accuracy)} (all values in percent)'

    def to_dict(self) -> dict:
        """For JSON: percent, None instead of NaN."""
        result = {
            'mIoU': _rounded(self.mean_iou),
            'mean_recall': _rounded(self.mean_recall),
            'pixel_accuracy': _rounded(self.pixel_accuracy),
            'absent': list(self.absent),
            'IoU': dict(zip(self.classes, map(_rounded, self.iou), strict=True)),
        }
        return result | {name: _rounded(value) for name, value in self.protocols.items()}


def iou_table(intersection: Tensor, predicted: Tensor, labelled: Tensor, classes: Sequence[str]) -> IoUTable:
    """Scores from pixel counts per class.

    Args:
        intersection (Tensor): (C,) pixels where prediction and truth are the class.
        predicted (Tensor): (C,) labelled pixels where the prediction is.
        labelled (Tensor): (C,) pixels where the truth is.
        classes (Sequence[str]): C names.

    Raises:
        ValueError: not one pixel has a label.
    """
    # Double precision: single loses counts above 2**24 pixels, 8 Cityscapes images.
    intersection, predicted, labelled = (part.double() for part in (intersection, predicted, labelled))
    if labelled.sum() == 0:
        raise ValueError(
            'no pixel of the test set has a label: nothing can be evaluated. Look at the label files and '
            'at the label table of the dataset'
        )
    # A class without true pixels gets 0 / 0 = NaN, also where it was predicted by mistake: those pixels already count
    # against the classes that they belong to.
    union = torch.where(labelled > 0, predicted + labelled - intersection, 0)
    return IoUTable(
        tuple(classes),
        tuple((intersection / union).where(labelled > 0, torch.nan).tolist()),
        tuple((intersection / labelled).tolist()),
        float(intersection.sum() / labelled.sum()),
    )


def confusion_matrix(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), (C, C) int64 on the CPU.

    Args:
        predicted (Tensor): class ids of any shape.
        truth (Tensor): class ids of the same shape; pixels whose id is no class, such as 255, do not count.
        num_classes (int): C.
    """
    predicted, truth = predicted.long(), truth.long()
    valid = (truth >= 0) & (truth < num_classes) & (predicted >= 0) & (predicted < num_classes)
    pairs = torch.where(valid, truth * num_classes + predicted, num_classes**2).flatten()
    return torch.bincount(pairs, minlength=num_classes**2 + 1)[:-1].view(num_classes, num_classes).cpu()


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """mmseg's IoUMetric with the scores kept per class, at the size of the truth, over the classes that occur.

    mmseg counts a class that the truth lacks as 0 as soon as one pixel is predicted as it; here it is left out. The
    result is in percent. ``table`` holds the full result of the last evaluation (on the main process), ``details`` its
    confusion matrix and the scores of every image, ready for JSON: ``classes``; ``confusion`` (C, C), pixels by true
    class (rows) and predicted class; ``images``, a list of ``image`` (path), ``mIoU`` and ``IoU`` by class in percent,
    None for classes that the truth of the image does not contain, and ``prediction``, the file that was written for it
    (below ``output_dir``), if any.

    ``protocols`` in the metainfo of the data set are further means to report, each under its name: a list of class
    names, e.g. ``mIoU16=['road', ...]``, or ``dict(condition='fog', classes=[...])``: only the images whose metainfo
    has that ``condition``, and all classes if none are named. Pixels of the other classes still count as wrong
    predictions of the named ones. A mean over nothing is left out.

    Args:
        ignore_index (int): label of pixels that do not count.
        output_dir (str | None): folder for the predictions as PNG files of class ids; None writes none. Files may be
            written by several processes.
        image_root (str | None): folder of the images. A prediction is named by the path of its image below it; None
            takes the name of the image alone. ``tools/test.py`` sets it.
        collect_device (str): how the results of several processes come together: ``gpu`` through their connection
            (which may be one of CPUs), ``cpu`` through files in the working folder.
        prefix (str | None): put before the names of the results.
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
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        self.predictions = None if output_dir is None else Path(output_dir)
        self.image_root = image_root
        # Name of a prediction -> its image.
        self._images: dict[str, str] = {}
        self.table: IoUTable | None = None
        self.details: dict | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            size = sample['gt_sem_seg']['data'].shape[-2:]
            sample['pred_sem_seg'] = {'data': prediction_at(sample, size)}
        # A clip is scored on frame 0, the one that is segmented; other metrics may need the labels of the rest.
        scored = [{**sample, 'gt_sem_seg': {'data': sample['gt_sem_seg']['data'][:1]}} for sample in data_samples]
        first = len(self.results)
        super().process(data_batch, scored)
        # Dicts: mmengine hands on tuples with names as plain ones.
        self.results[first:] = [
            {
                'counts': counts,
                'condition': sample.get('condition'),
                'path': sample.get('img_path'),
                'prediction': self._write(sample),
                'confusion': confusion_matrix(
                    sample['pred_sem_seg']['data'], sample['gt_sem_seg']['data'], len(self.dataset_meta['classes'])
                ),
            }
            for counts, sample in zip(self.results[first:], scored, strict=True)
        ]

    def _write(self, sample: dict) -> str | None:
        """Name of the file of a sample's prediction, which is written; None if none is asked for."""
        if self.predictions is None:
            return None
        if len(self.dataset_meta['classes']) > 256:
            raise ValueError(
                f'ClassIoUMetric writes class ids of 8 bits, too few for '
                f'{len(self.dataset_meta["classes"])} classes: leave output_dir out'
            )
        name = prediction_name(sample['img_path'], self.image_root)
        self._claim(name, sample['img_path'])
        write_image(self.predictions / name, sample['pred_sem_seg']['data'][0].cpu().numpy().astype(np.uint8))
        return name

    def _claim(self, name: str, image: str) -> None:
        """Refuse a second image whose prediction would take the file of the first."""
        other = self._images.setdefault(name, image)
        if other != image:
            raise ValueError(
                f'the predictions of {other} and {image} would both be named {name}: set image_root of '
                'ClassIoUMetric to the folder that holds both images, as tools/test.py does'
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        if not results:
            raise ValueError('the test set is empty: nothing can be evaluated')
        for result in results:
            # Those of the other processes, too.
            if result['prediction'] is not None:
                self._claim(result['prediction'], result['path'])
        # (images, 4, C): intersection, union, prediction, label.
        counts = torch.stack([torch.stack(result['counts']) for result in results]).double()
        table = iou_table(*counts.sum(0)[[0, 2, 3]], self.dataset_meta['classes'])
        conditions = [result['condition'] for result in results]
        self.details = {
            'classes': list(table.classes),
            'confusion': torch.stack([result['confusion'] for result in results]).sum(0).tolist(),
            'images': [
                image_scores(result['path'], part, result['prediction'])
                for result, part in zip(results, counts, strict=True)
            ],
        }
        self.table = replace(
            table, protocols=protocol_means(self.dataset_meta.get('protocols', {}), table, counts, conditions)
        )
        MMLogger.get_current_instance().info(f'\n{self.table.to_text()}')
        return {
            'mIoU': _rounded(self.table.mean_iou),
            'mAcc': _rounded(self.table.mean_recall),
            'aAcc': _rounded(self.table.pixel_accuracy),
            **{name: _rounded(value) for name, value in self.table.protocols.items()},
        }


def prediction_name(image: str, root: str | None) -> str:
    """Name of the PNG file for the prediction of an image: its path below ``root``, with '/' between folders; its name
    alone without a root, or outside of it."""
    path = Path(os.path.abspath(image))
    inside = root is not None and path.is_relative_to(os.path.abspath(root))
    below = path.relative_to(os.path.abspath(root)) if inside else Path(path.name)
    return below.with_suffix('.png').as_posix()


def find_metric(metrics: Sequence[BaseMetric]) -> ClassIoUMetric | None:
    """The IoU metric among those of an evaluator, None where something else is measured."""
    return next((metric for metric in metrics if isinstance(metric, ClassIoUMetric)), None)


def extra_scores(scores: Mapping[str, float], table: IoUTable | None) -> dict[str, float]:
    """What the evaluators measured besides the IoU, e.g. temporal consistency; all of it without a table."""
    known = () if table is None else ('mIoU', 'mAcc', 'aAcc', *table.protocols)
    return {name: float(value) for name, value in scores.items() if name not in known}


def write_scores(path: Path, metrics: Sequence[BaseMetric], scores: Mapping[str, float], **about: object) -> None:
    """Write the scores of an evaluation as JSON and, of ``ClassIoUMetric``, the confusion matrix and the scores of
    every image to ``<path>.details.json``.

    Args:
        path (Path): ``*.json``.
        metrics (Sequence[BaseMetric]): of the evaluator.
        scores (Mapping[str, float]): what it returned.
        about: further entries, such as the checkpoint.
    """
    metric = find_metric(metrics)
    table = None if metric is None else metric.table
    content = {**about, **({} if table is None else table.to_dict()), **extra_scores(scores, table)}
    write_text(path, json.dumps(content, indent=1) + '\n')
    if metric is not None:
        # The scores have a line per number, these a matrix and a row per image.
        write_text(path.with_suffix('.details.json'), json.dumps(metric.details) + '\n')


def image_scores(path: str | None, counts: Tensor, prediction: str | None = None) -> dict:
    """Scores of one image in percent, rounded to hundredths, by class and their mean; None where the truth has none.

    Args:
        path (str | None): of the image.
        counts (Tensor): (4, C) pixels: intersection, union, prediction, label.
        prediction (str | None): file of its prediction.
    """
    intersection, union, _, labelled = counts.tolist()
    iou = [
        100 * right / both if true > 0 else None
        for right, both, true in zip(intersection, union, labelled, strict=True)
    ]
    present = [value for value in iou if value is not None]
    scores = {
        'image': path,
        'mIoU': round(sum(present) / len(present), 2) if present else None,
        'IoU': [None if value is None else round(value, 2) for value in iou],
    }
    return scores if prediction is None else {**scores, 'prediction': prediction}


def protocol_means(
    protocols: Mapping[str, Sequence[str] | Mapping], table: IoUTable, counts: Tensor, conditions: Sequence[str | None]
) -> dict[str, float]:
    """Means of the IoU by protocol, in [0, 1]; a protocol of which the truth has no class or image is left out.

    Args:
        protocols (Mapping): name -> class names or dict(classes=..., condition=...), see ``ClassIoUMetric``.
        table (IoUTable): scores of all images.
        counts (Tensor): (images, 4, C) pixels: intersection, union, prediction, label.
        conditions (Sequence[str | None]): condition of each image.
    """
    means = {}
    for name, protocol in protocols.items():
        options = protocol if isinstance(protocol, Mapping) else {'classes': protocol}
        part = table
        if options.get('condition') is not None:
            chosen = counts[[condition == options['condition'] for condition in conditions]].sum(0)
            if chosen[3].sum() == 0:
                continue
            part = iou_table(*chosen[[0, 2, 3]], table.classes)
        mean = part.mean_iou_of(options.get('classes') or table.classes)
        if not math.isnan(mean):
            means[name] = mean
    return means


def prediction_at(sample: dict, size: tuple[int, int]) -> Tensor:
    """Class ids (1, H, W) of a sample's prediction at the size of the truth."""
    labels = sample['pred_sem_seg']['data']
    if labels.shape[-2:] == size:
        return labels
    if 'seg_logits' in sample and len(sample['seg_logits']['data']) > 1:
        scores = sample['seg_logits']['data'][None]
        return interpolate(scores, size=size, mode='bilinear', align_corners=False)[0].argmax(0, keepdim=True)
    return interpolate(labels[None].float(), size=size, mode='nearest-exact')[0].to(labels.dtype)


def _percent(share: float) -> str:
    return '-' if math.isnan(share) else f'{100 * share:.2f}'


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * share, 4)
