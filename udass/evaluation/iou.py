"""Intersection over union per class, over the classes that occur in the truth."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class IoUTable:
    """Scores of a test set; all shares are in [0, 1], NaN for classes that the truth does not contain.

    Attributes:
        classes (tuple[str, ...]): names.
        iou (tuple[float, ...]): intersection over union per class.
        recall (tuple[float, ...]): share of the class's true pixels that were found ("Acc" in mmseg).
        pixel_accuracy (float): share of all labelled pixels that are right.
    """
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    recall: tuple[float, ...]
    pixel_accuracy: float

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

    def to_text(self) -> str:
        """The table in percent, with the means in the last row."""
        table = PrettyTable(['class', 'IoU', 'recall'], align='r')
        table.align['class'] = 'l'
        rows = list(zip(self.classes, self.iou, self.recall, strict=True))
        for number, (name, iou, recall) in enumerate(rows, start=1):
            table.add_row([name, _percent(iou), _percent(recall)], divider=number == len(rows))
        table.add_row(['mean', _percent(self.mean_iou), _percent(self.mean_recall)])
        note = ''
        if self.absent:
            note = (f'\n{len(self.absent)} of {len(self.classes)} classes do not occur in the truth and do not '
                    f'count in the means: {", ".join(self.absent)}')
        return f'{table.get_string()}{note}\npixel accuracy {_percent(self.pixel_accuracy)} (all values in percent)'

    def to_dict(self) -> dict:
        """For JSON: percent, None instead of NaN."""
        return {'mIoU': _rounded(self.mean_iou), 'mean_recall': _rounded(self.mean_recall),
                'pixel_accuracy': _rounded(self.pixel_accuracy), 'absent': list(self.absent),
                'IoU': dict(zip(self.classes, map(_rounded, self.iou), strict=True))}


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
        raise ValueError('no pixel of the test set has a label: nothing can be evaluated. Look at the label files and '
                         'at the label table of the dataset')
    # A class without true pixels gets 0 / 0 = NaN, also where it was predicted by mistake: those pixels already count
    # against the classes that they belong to.
    union = torch.where(labelled > 0, predicted + labelled - intersection, 0)
    return IoUTable(tuple(classes), tuple((intersection / union).where(labelled > 0, torch.nan).tolist()),
                    tuple((intersection / labelled).tolist()), float(intersection.sum() / labelled.sum()))


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """mmseg's IoUMetric with the scores kept per class, at the size of the truth, over the classes that occur.

    mmseg counts a class that the truth lacks as 0 as soon as one pixel is predicted as it; here it is left out. The
    result is in percent. ``table`` holds the full result of the last evaluation (on the main process).

    Args:
        ignore_index (int): label of pixels that do not count.
        output_dir (str | None): folder for the predictions as PNG files of class ids; None writes none.
        collect_device (str): where results of several processes are gathered, ``cpu`` or ``gpu``.
        prefix (str | None): put before the names of the results.
    """
    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(self, ignore_index: int = 255, output_dir: str | None = None, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(ignore_index=ignore_index, output_dir=output_dir, collect_device=collect_device, prefix=prefix)
        self.table: IoUTable | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            size = sample['gt_sem_seg']['data'].shape[-2:]
            sample['pred_sem_seg'] = {'data': _prediction_at(sample, size)}
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        if not results:
            raise ValueError('the test set is empty: nothing can be evaluated')
        intersections, _, predictions, labels = (torch.stack(part).double().sum(0)
                                                 for part in zip(*results, strict=True))
        self.table = iou_table(intersections, predictions, labels, self.dataset_meta['classes'])
        MMLogger.get_current_instance().info(f'\n{self.table.to_text()}')
        return {'mIoU': _rounded(self.table.mean_iou), 'mAcc': _rounded(self.table.mean_recall),
                'aAcc': _rounded(self.table.pixel_accuracy)}


def _prediction_at(sample: dict, size: tuple[int, int]) -> Tensor:
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
