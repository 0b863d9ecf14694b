"""Diagnostics of self-training: how sure, how right and how steady pseudo-labels are.

Shapes: N batch, H, W pixels, C classes, B bins of confidence.
"""

from collections.abc import Sequence

import torch
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.engine.diagnostics.batch_norm import network_logits
from udass.engine.hooks import IntervalHook
from udass.engine.optim import wrappers_by_name
from udass.models.ranks import sum_over_ranks
from udass.uda.clip import Clip
from udass.uda.networks import unwrap
from udass.uda.training_model import TeacherStudent

# Bins of equal width, as usual for the expected calibration error.
BINS = 15
# What is counted per predicted class and bin: pixels and confident ones; of those with a true label all, right ones,
# the sum of their confidence, confident ones, and confident ones that are right.
_PIXELS, _CONFIDENT, _LABELLED, _RIGHT, _CONFIDENCE, _SURE, _SURE_RIGHT = range(7)


@HOOKS.register_module()
class PseudoLabelHook(IntervalHook):
    """Logs how sure, how right and how steady the pseudo-labels of the target are.

    At each line of the log, over the images since the last one, all in [0, 1]:

    - ``pseudo_labels.confident``: share of the pixels whose confidence reaches the threshold of the pseudo-labels;
    - ``pseudo_labels.agreement``: share of the pixels of the last batch to which the student, in evaluation, gives the
      class of the pseudo-label;
    - where the target has labels (``LoadLabels`` in its pipeline, ``labelled=True``), which no training step reads:
      ``pseudo_labels.accuracy``, ``pseudo_labels.confident_accuracy`` of the confident pixels, and the expected
      calibration error ``pseudo_labels.ece`` over 15 bins (Guo et al. 2017, arXiv 1706.04599).

    The same for the pixels of each predicted class, e.g. ``pseudo_labels.accuracy.road``, with their ``share`` of all
    pixels, is in TensorBoard and ``scalars.json``, and the newest values are a table of ``udass report``. The hook does
    nothing for methods without a teacher. Counts stay on the device until the log is written.

    Args:
        interval: iterations between two readings; None takes that of the LoggerHook.
        threshold: confidence of a confident pixel; None takes that of the pseudo-labels, or 0.968, the published one.
    """

    # Before the hook that writes the last line of the log.
    priority = 'HIGHEST'

    def __init__(self, interval: int | None = None, threshold: float | None = None) -> None:
        self._set_interval(interval)
        self.threshold = threshold
        self._clip: Clip | None = None
        self._counts: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        model = unwrap(runner.model)
        if isinstance(model, TeacherStudent) and model.teacher is not None:
            model.pass_hooks.append(self._record)
            if self.threshold is None:
                self.threshold = getattr(model.pseudo_labels, 'threshold', 0.968)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if self._clip is None:
            return
        clip, self._clip = self._clip, None
        classes = runner.train_dataloader.dataset.metainfo['classes']
        truth = true_labels(data_batch['target']['data_samples'])
        counts = count_pseudo_labels(clip, truth, len(classes), self.threshold)
        self._counts = counts if self._counts is None else self._counts + counts
        if not self._reads_after(runner):
            return
        agreement = torch.stack([student_agreement(runner, clip), clip.frames.new_ones(())]).double()
        total, (agreed, ranks) = (sum_over_ranks(value).cpu() for value in (self._counts, agreement))
        self._counts = None
        overall = {**pseudo_label_scores(total.sum(0)), 'agreement': float(agreed / ranks)}
        by_class = {
            f'pseudo_labels.{score}.{name}': value
            for name, counted in zip(classes, total, strict=True)
            for score, value in pseudo_label_scores(counted, float(total[..., _PIXELS].sum())).items()
        }
        for score, value in overall.items():
            runner.message_hub.update_scalar(f'train/pseudo_labels.{score}', value)
        runner.visualizer.add_scalars(by_class, step=runner.iter + 1)

    def _record(self, name: str, clip: Clip) -> None:
        if name == 'target' and clip.confidence is not None:
            self._clip = clip


def true_labels(samples: Sequence[SegDataSample]) -> Tensor | None:
    """True labels (N, H, W) of frame 0, or None if not all samples have them."""
    if not all('gt_sem_seg' in sample for sample in samples):
        return None
    return torch.stack([sample.gt_sem_seg.data[0] for sample in samples])


@torch.no_grad()
def count_pseudo_labels(clip: Clip, truth: Tensor | None, classes: int, threshold: float) -> Tensor:
    """Counts (C, B, 7) of the pixels of frame 0 by pseudo-label and bin of confidence, see the module; no wait for the
    device.

    Args:
        clip: with ``labels`` and ``confidence`` (N, T, H, W).
        truth: true labels (N, H, W); pixels whose label is no class have none. None where there are none.
        classes: C.
        threshold: smallest confidence of a confident pixel.
    """
    labels, confidence = clip.labels[:, 0].flatten(), clip.confidence[:, 0].flatten().float()
    if truth is None:
        labelled = right = torch.zeros_like(confidence)
    else:
        truth = truth.to(labels.device, non_blocking=True).flatten()
        labelled, right = (truth < classes).float(), (truth == labels).float()
    confident = (confidence >= threshold).float()
    ones = torch.ones_like(confidence)
    values = torch.stack(
        [ones, confident, labelled, right, confidence * labelled, confident * labelled, confident * right], dim=1
    )
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    # Pixels without a pseudo-label go to a row that is cut off.
    rows = torch.where(labels < classes, labels * BINS + bins, classes * BINS)
    counts = values.new_zeros(classes * BINS + 1, values.shape[1]).index_add_(0, rows, values)
    # In single precision a batch is counted exactly, a long interval not.
    return counts[:-1].double().view(classes, BINS, -1)


def pseudo_label_scores(counts: Tensor, pixels: float | None = None) -> dict[str, float]:
    """Scores of counts (B, 7) on the host, see `PseudoLabelHook`; those that nothing was counted for are left out.

    Args:
        counts: of one class, or the sum over all.
        pixels: of all classes; the ``share`` of a class is one of them.
    """
    total = counts.sum(0)
    scores = {} if pixels is None else {'share': float(total[_PIXELS]) / pixels}
    ratios = {
        'confident': (total[_CONFIDENT], total[_PIXELS]),
        'accuracy': (total[_RIGHT], total[_LABELLED]),
        'confident_accuracy': (total[_SURE_RIGHT], total[_SURE]),
        # The difference between confidence and accuracy of each bin, weighted with its pixels.
        'ece': ((counts[:, _CONFIDENCE] - counts[:, _RIGHT]).abs().sum(), total[_LABELLED]),
    }
    return scores | {name: float(part / whole) for name, (part, whole) in ratios.items() if whole > 0}


@torch.no_grad()
def student_agreement(runner: Runner, clip: Clip) -> Tensor:
    """Share of the pixels of frame 0, a scalar on the device, where the student predicts the pseudo-label; of the first
    part of the batch where the training step takes it in parts."""
    model = unwrap(runner.model)
    student = unwrap(model.student)
    clip = clip[: len(clip) // model.accumulative_counts]
    student.eval()
    with wrappers_by_name(runner.optim_wrapper)['student'].optim_context(model.student):
        logits = network_logits(model, student, clip.frames, clip.flow)
    model.train()
    predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (predicted == clip.labels[:, 0]).float().mean()
