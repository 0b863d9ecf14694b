"""Temporal consistency: how far the prediction of a frame agrees with that of the frame before it, along the motion.

Shapes: C classes, H x W pixels, those of the truth. A flow holds (dx, dy) in pixels, from frame t to frame t-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS, MODELS
from torch import Tensor

from udass.evaluation.iou import iou_table, prediction_at
from udass.flow import FlowCache, PrecomputedFlow, consistent, warp_labels

_IGNORE = 255


@dataclass(frozen=True)
class FrameComparison:
    """What is counted of one frame t.

    Attributes:
        previous (Tensor | None): (3, C) pixels of the prediction at t against that at t-1, see ``class_counts``; None
            where t-1 does not exist or was not predicted.
        truth (Tensor | None): the same against the truth at t-1; None where it has no label.
        compared (int): pixels that are seen in both frames, 0 if nothing was compared.
        pixels (int): all pixels, 0 if nothing was compared.
        missed (bool): t-1 exists, but its prediction did not come right before. False for frames without a label
            among labelled ones, which are tested for the sake of the frame after them.
    """

    previous: Tensor | None = None
    truth: Tensor | None = None
    compared: int = 0
    pixels: int = 0
    missed: bool = False


@METRICS.register_module()
class TemporalConsistency(BaseMetric):
    """Agreement of predictions along the motion, in percent. Put it beside ``ClassIoUMetric``, in a list.

    Counted are the pixels of frame t that frame t-1 shows, too. Results, over all frames that could be compared:

    - ``TC``: mIoU between the prediction at t and the prediction at t-1, warped to t; the mean is over the classes that
      occur in one of the two;
    - ``TC_pixels``: share of those pixels where both are the same class, which rare classes do not dominate;
    - ``TC_compared``: share of the pixels that could be compared;
    - ``TC_truth``: mIoU of the prediction at t against the truth at t-1, warped to t; the mean is over the classes that
      occur in that truth. Only where t-1 is labelled.

    A network that always predicts the same is consistent, too: read them beside the mIoU. What was never comparable is
    left out.

    Predictions of t-1 are those of the test set: its clips must come in the order of the video (``DefaultSampler`` with
    ``shuffle=False``) and in one process (several share the frames one by one, so that none has two in a row; then a
    warning says what is missing). ``frame_paths`` of the samples tell what precedes what. The first frame of a video
    has nothing to be compared with. For snippets with one label, see ``frame_before`` of ``CityscapesSeq``.

    Flow is asked for here, at the size of the truth, rather than taken from the samples: so networks that see other
    sizes, other flow or none are measured alike.

    Args:
        flow (dict): config of a cache that is called with the paths of frame t and t-1 and the size (H, W)
            (``FlowCache`` or ``PrecomputedFlow``).
        backward (dict | None): the same for the flow from t-1 to t. A pixel counts if going there and back ends where
            it began (``udass.flow.consistent``). None = the files of ``flow`` mark what t-1 shows (``PrecomputedFlow``
            of PNG files, as of the built-in clips).
        collect_device (str): as in ``ClassIoUMetric``.
        prefix (str | None): put before the names of the results.
    """

    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(
        self, flow: dict, backward: dict | None = None, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.flow: FlowCache | PrecomputedFlow = MODELS.build(flow)
        self.backward: FlowCache | PrecomputedFlow | None = None if backward is None else MODELS.build(backward)
        # Path of the frame that was predicted last, and its class ids (H, W).
        self._last: tuple[str, Tensor] | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compare each frame of a batch with the one before it.

        Raises:
            ValueError: the test set has no clips.
            FileNotFoundError, ValueError: see ``FlowCache`` and ``PrecomputedFlow``.
        """
        for sample in data_samples:
            self.results.append(self._compare(sample))

    def compute_metrics(self, results: list[FrameComparison]) -> dict[str, float]:
        """Results in percent by name; those that nothing was counted for are left out."""
        # The next test starts with a first frame.
        self._last = None
        logger = MMLogger.get_current_instance()
        missed = sum(result.missed for result in results)
        if missed:
            logger.warning(
                f'TC: {missed} of {len(results)} frames were not compared with the prediction of the frame '
                'before, which was not tested right before them: test the frames of a video in order '
                '(shuffle=False) and in one process'
            )
        scores = scores_of(results, self.dataset_meta['classes'])
        text = ', '.join(f'{name} {value:.2f}' for name, value in scores.items()) or 'nothing could be compared'
        logger.info(f'temporal consistency in percent: {text}')
        return {name: round(value, 4) for name, value in scores.items()}

    def _compare(self, sample: dict) -> FrameComparison:
        paths = sample.get('frame_paths')
        if paths is None:
            raise ValueError(
                f'TemporalConsistency needs clips, but {sample.get("img_path")} comes from a data set of '
                'single images: test on a ClipDataset with LoadClip and PackClip, or leave the metric out'
            )
        truth = sample['gt_sem_seg']['data'].cpu() if 'gt_sem_seg' in sample else None
        size = tuple(sample['ori_shape'][:2] if truth is None else truth.shape[-2:])
        prediction = prediction_at(sample, size)[0].cpu()
        last, self._last = self._last, (paths[0], prediction)
        if paths[1] == paths[0]:
            # The frame stands for one that does not exist.
            return FrameComparison()
        maps = {}
        if last is not None and last[0] == paths[1]:
            maps['previous'] = last[1]
        if truth is not None and len(truth) > 1 and (truth[1] != _IGNORE).any():
            maps['truth'] = truth[1]
        missed = 'previous' not in maps and (truth is None or bool((truth[0] != _IGNORE).any()))
        if not maps:
            return FrameComparison(missed=missed)
        flow, seen = self._motion(paths[0], paths[1], size)
        counts = {
            name: class_counts(prediction, warp_labels(labels[None], flow)[0], seen, len(self.dataset_meta['classes']))
            for name, labels in maps.items()
        }
        return FrameComparison(**counts, compared=int(seen.sum()), pixels=seen.numel(), missed=missed)

    def _motion(self, current: str, previous: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Flow (1, 2, H, W) from t to t-1, and which pixels (H, W) of t are seen at t-1."""
        flow = _as_batch(self.flow(current, previous, size))
        if self.backward is not None:
            return flow, consistent(flow, _as_batch(self.backward(previous, current, size)))[0, 0]
        return flow, torch.from_numpy(self.flow.visible(current, previous, size))


def class_counts(prediction: Tensor, reference: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Pixels per class inside a mask, where the reference has a class.

    Args:
        prediction, reference: (H, W) class ids; 255 in the reference does not count.
        mask: (H, W) bool.
        classes: C.

    Returns:
        Tensor: (3, C) int64: of both, of the prediction, of the reference.
    """
    mask = mask & (reference != _IGNORE)
    prediction, reference = prediction[mask].long(), reference[mask].long()
    parts = prediction[prediction == reference], prediction, reference
    return torch.stack([torch.bincount(part, minlength=classes) for part in parts])


def scores_of(results: Sequence[FrameComparison], classes: Sequence[str]) -> dict[str, float]:
    """Results by name, in percent, see ``TemporalConsistency``."""
    scores = {}
    previous = [result.previous for result in results if result.previous is not None]
    if previous and (counts := torch.stack(previous).sum(0).double())[1].sum() > 0:
        union = counts[1] + counts[2] - counts[0]
        scores['TC'] = 100 * float((counts[0] / union)[union > 0].mean())
        scores['TC_pixels'] = 100 * float(counts[0].sum() / counts[1].sum())
    pixels = sum(result.pixels for result in results)
    if pixels:
        scores['TC_compared'] = 100 * sum(result.compared for result in results) / pixels
    truth = [result.truth for result in results if result.truth is not None]
    if truth and (counts := torch.stack(truth).sum(0))[2].sum() > 0:
        scores['TC_truth'] = 100 * iou_table(*counts, classes).mean_iou
    return scores


def _as_batch(flow: object) -> Tensor:
    """(H, W, 2) array -> (1, 2, H, W)."""
    return torch.from_numpy(flow).permute(2, 0, 1)[None]
