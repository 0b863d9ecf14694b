"""Temporal consistency: agreement of the predictions of consecutive frames along the optical flow.

Shapes: C classes, H x W pixels, those of the truth. A flow holds (dx, dy) in pixels, from frame t to frame t-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS, MODELS
from torch import Tensor

from udass.evaluation.iou import confusion_matrix, iou_table, prediction_at
from udass.flow import FlowCache, PrecomputedFlow, consistent, warp_labels
from udass.io.labels import IGNORE_INDEX


@dataclass(frozen=True)
class FrameComparison:
    """Counts of one frame t.

    Attributes:
        previous (Tensor | None): (C, C) pixels by class of the prediction at t-1 (rows) and of that at t (columns);
            None where t-1 does not exist or was not predicted.
        truth (Tensor | None): the same with the truth at t-1; None where it has no label.
        compared (int): pixels that are visible in both frames, 0 if nothing was compared.
        pixels (int): all pixels, 0 if nothing was compared.
        missed (bool): t-1 exists, but was not tested right before t. False for frames without a label among labelled
            ones, which are tested for the sake of the frame after them.
    """

    previous: Tensor | None = None
    truth: Tensor | None = None
    compared: int = 0
    pixels: int = 0
    missed: bool = False


@METRICS.register_module()
class TemporalConsistency(BaseMetric):
    """Agreement of predictions along the motion, in percent. Put it beside ``ClassIoUMetric``, in a list.

    It counts the pixels of frame t that are visible in frame t-1, too. Results, over all frames that could be compared:

    - ``TC``: mIoU between the prediction at t and the prediction at t-1, warped to t; the mean is over the classes that
      occur in one of the two;
    - ``TC_pixels``: share of those pixels where both are the same class, which rare classes do not dominate;
    - ``TC_compared``: share of the pixels that could be compared;
    - ``TC_truth``: mIoU of the prediction at t against the truth at t-1, warped to t; the mean is over the classes that
      occur in that truth. Only where t-1 is labelled.

    A network that always predicts the same is consistent, too: read them beside the mIoU. Results without a pixel to
    compare are left out.

    Predictions of t-1 are those of the test set: its clips must come in the order of the video (``DefaultSampler`` with
    ``shuffle=False``) and in one process; a warning says how many are missing. For snippets with one label, see
    ``frame_before`` of ``CityscapesSeq``. The flow is computed here, at the size of the truth, so that networks of
    other sizes, with other flow or without flow are measured alike.

    Args:
        flow: config of a cache that is called with the paths of frame t and t-1 and the size (H, W) (``FlowCache`` or
            ``PrecomputedFlow``).
        backward: the same for the flow from t-1 to t. A pixel counts if the flow there and back ends where it began
            (``udass.flow.consistent``). None = the files of ``flow`` mark the pixels visible at t-1
            (``PrecomputedFlow`` of PNG files, as of the built-in clips).
        collect_device, prefix: see ``ClassIoUMetric``.
    """

    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(
        self, flow: dict, backward: dict | None = None, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.flow: FlowCache | PrecomputedFlow = MODELS.build(flow)
        self.backward: FlowCache | PrecomputedFlow | None = None if backward is None else MODELS.build(backward)
        # Path and class ids (H, W) of the frame that was predicted last.
        self._last: tuple[str | None, Tensor | None] = None, None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compare each frame of a batch with the one before it."""
        self.results += [self._compare(sample) for sample in data_samples]

    def compute_metrics(self, results: list[FrameComparison]) -> dict[str, float]:
        # The next test starts with a first frame.
        self._last = None, None
        logger = MMLogger.get_current_instance()
        missed = sum(result.missed for result in results)
        if missed:
            logger.warning(
                f'TC: {missed} of {len(results)} frames were not compared with the prediction of the frame '
                'before, which was not tested right before them: test the frames of a video in order '
                '(shuffle=False) and in one process'
            )
        scores = consistency(results, self.dataset_meta['classes'])
        text = ', '.join(f'{name} {value:.2f}' for name, value in scores.items()) or 'nothing could be compared'
        logger.info(f'temporal consistency in percent: {text}')
        return {name: round(value, 4) for name, value in scores.items()}

    def _compare(self, sample: dict) -> FrameComparison:
        if 'frame_paths' not in sample:
            raise ValueError(
                f'TemporalConsistency needs clips, but {sample.get("img_path")} comes from a data set of '
                'single images: test on a ClipDataset with LoadClip and PackClip, or leave the metric out'
            )
        current, previous = sample['frame_paths'][:2]
        truth = sample['gt_sem_seg']['data'].cpu() if 'gt_sem_seg' in sample else None
        size = tuple(sample['ori_shape'][:2] if truth is None else truth.shape[-2:])
        prediction = prediction_at(sample, size)[0].cpu()
        last, self._last = self._last, (current, prediction)
        if previous == current:
            # The frame stands for one that does not exist.
            return FrameComparison()
        references = {}
        if last[0] == previous:
            references['previous'] = last[1]
        if truth is not None and len(truth) > 1 and (truth[1] != IGNORE_INDEX).any():
            references['truth'] = truth[1]
        missed = 'previous' not in references and (truth is None or bool((truth[0] != IGNORE_INDEX).any()))
        if not references:
            return FrameComparison(missed=missed)
        flow, visible = self._motion(current, previous, size)
        counts = {}
        for name, labels in references.items():
            warped = warp_labels(labels[None], flow)[0].where(visible, IGNORE_INDEX)
            counts[name] = confusion_matrix(prediction, warped, len(self.dataset_meta['classes']))
        return FrameComparison(**counts, compared=int(visible.sum()), pixels=visible.numel(), missed=missed)

    def _motion(self, current: str, previous: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Flow (1, 2, H, W) from t to t-1, and which pixels (H, W) of t are visible at t-1."""
        flow = torch.from_numpy(self.flow(current, previous, size)).permute(2, 0, 1)[None]
        if self.backward is None:
            return flow, torch.from_numpy(self.flow.visible(current, previous, size))
        backward = torch.from_numpy(self.backward(previous, current, size)).permute(2, 0, 1)[None]
        return flow, consistent(flow, backward)[0, 0]


def consistency(results: Sequence[FrameComparison], classes: Sequence[str]) -> dict[str, float]:
    """Results by name, in percent, see ``TemporalConsistency``."""
    scores = {}
    previous = sum(result.previous for result in results if result.previous is not None)
    if torch.is_tensor(previous) and previous.sum() > 0:
        counts = previous.double()
        equal = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - equal
        scores['TC'] = 100 * float((equal / union)[union > 0].mean())
        scores['TC_pixels'] = 100 * float(equal.sum() / counts.sum())
    pixels = sum(result.pixels for result in results)
    if pixels:
        scores['TC_compared'] = 100 * sum(result.compared for result in results) / pixels
    truth = sum(result.truth for result in results if result.truth is not None)
    if torch.is_tensor(truth) and truth.sum() > 0:
        scores['TC_truth'] = 100 * iou_table(truth, classes).mean_iou
    return scores
