"""Adaptation on clips: pseudo-labels that travel along the flow, and what only video has to align.

Shapes: N batch, C classes, H, W pixels, h, w cells of scores. A target clip has frames t, t-1, t-k and t-k-1.
Source: TPS (Xing et al. 2022, arXiv 2203.12356); Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv
2311.13254), its video method.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.flow.warping import flip_flow, resize_flow, warp
from udass.models.precision import at_least_float32
from udass.models.segmentors import FlowGuidedEncoderDecoder, Outputs
from udass.models.segmentors.logit_fusion import resize_logits
from udass.uda.adapter import DomainAdapter
from udass.uda.centroids import class_centroids, maximum_mean_discrepancy
from udass.uda.clip import IGNORE, Clip
from udass.uda.histogram import match_histograms
from udass.uda.inputs import flow_of, model_inputs, trusted_pixels
from udass.uda.mixing.long_tail import LongTail
from udass.uda.passes import IterationState, Pass
from udass.uda.photometric import PhotometricChange
from udass.uda.pseudo_labels import PseudoLabel, two_class_logits


@MODELS.register_module()
class CrossFramePseudoLabels:
    """Labels of frame t from the teacher's logits of the past pair, warped to t (TPS).

    Every label counts fully; margins that the loader marks (``PseudoMargins``) have weight 0.

    Args:
        flip_probability: of showing the teacher the past pair mirrored, drawn once per iteration; its logits are
            mirrored back.

    Raises:
        ValueError: a probability outside [0, 1].
    """

    def __init__(self, flip_probability: float = 0.0) -> None:
        if not 0 <= flip_probability <= 1:
            raise ValueError(f'flip_probability is in [0, 1]; got {flip_probability}')
        self.flip_probability = flip_probability

    def draw_flip(self, generator: torch.Generator) -> bool:
        """Whether the past pair is mirrored in this iteration."""
        # Nothing is drawn for what never happens, so that the streams of methods without it stay as they are.
        return self.flip_probability > 0 and torch.rand(1, generator=generator).tolist()[0] < self.flip_probability

    def __call__(self, logits: Tensor, flow: Tensor | None = None, valid: Tensor | None = None) -> PseudoLabel:
        """Label of a frame.

        Args:
            logits: (N, C, H, W) of another frame; of the frame itself where there is no flow.
            flow: (N, 2, H, W) from the frame to that other one.
            valid: (N, 1, H, W) bool.
        """
        shares = two_class_logits(at_least_float32(logits)).softmax(dim=1)
        confidence, labels = (shares if flow is None else warp(shares, flow)).max(dim=1)
        weights = torch.ones_like(confidence)
        if valid is not None:
            weights = weights * valid[:, 0]
        return PseudoLabel(labels=labels, confidence=confidence, weights=weights)


@MODELS.register_module()
class CrossFramePass:
    """The pass of the target clip against its labels across time.

    Args:
        scale: its factor in the loss (lambda_T).
        rescale: range of a factor of the clip's size, drawn once per iteration; None leaves the size. Sides become
            multiples of 8 pixels. The student's logits are brought to the size of the labels.
        full_size: learn labels at the size of the image; auxiliary heads then learn those of the main head. False (as
            published) learns labels at the size of the logits, each head its own.

    Raises:
        ValueError: a scale or range that makes no sense.
    """

    def __init__(self, scale: float = 1.0, rescale: tuple[float, float] | None = None, full_size: bool = False) -> None:
        if scale <= 0 or rescale is not None and not 0 < rescale[0] <= rescale[1]:
            raise ValueError(
                'CrossFramePass: scale is a factor of the loss, larger than 0, and rescale a range of '
                f'sizes, 0 < low <= high, or None; got {scale} and {rescale}'
            )
        self.scale = scale
        self.rescale = rescale
        self.full_size = full_size

    def __call__(self, target: Clip, generator: torch.Generator) -> Pass:
        """The pass of a clip with ``cell_labels``."""
        labels = target.labels[:, :1] if self.full_size else target.cell_labels
        # Margins without trust, at the size of the labels.
        weights = F.interpolate(target.weights[:, :1], size=tuple(labels.shape[-2:]), mode='nearest')
        clip = replace(target, labels=labels[:, :1], weights=weights, confidence=None, cell_labels=None)
        if self.rescale is not None:
            low, high = self.rescale
            factor = low + (high - low) * torch.rand(1, generator=generator).tolist()[0]
            clip = resize_frames(clip, tuple(max(round(factor * side / 8), 1) * 8 for side in clip.size))
        return Pass('cross_frame', clip, scale=self.scale, auxiliary_labels=None if self.full_size else labels[:, 1:])


def resize_frames(clip: Clip, size: tuple[int, int]) -> Clip:
    """The clip with frames and flow at another size (H, W), corners aligned; labels and weights keep theirs."""
    frames = F.interpolate(clip.frames.flatten(0, 1), size=size, mode='bilinear', align_corners=True)
    flow = None if clip.flow is None else resize_flow(clip.flow.flatten(0, 1), size).unflatten(0, clip.flow.shape[:2])
    return replace(clip, frames=frames.unflatten(0, clip.frames.shape[:2]), flow=flow)


@MODELS.register_module()
class CentroidAlignment:
    """Draws the target's class means of fused scores to those of the source (flow-guided spatio-temporal alignment).

    The source's means carry a gradient only where all passes have one backward: else the graph of the source pass is
    gone when the target is seen.

    Args:
        weight: factor of the squared distance in the loss.
        intervals: over how many motions the target's means are averaged: 1 takes (t, t-1), 2 also (t, t-k-1).
        over_ranks: see `class_centroids`.

    Raises:
        ValueError: a negative weight, or other intervals.
    """

    def __init__(self, weight: float = 0.01, intervals: int = 1, over_ranks: bool = True) -> None:
        if weight < 0 or intervals not in (1, 2):
            raise ValueError(
                'CentroidAlignment: weight is a factor of the loss, 0 or more, and intervals 1 or 2; got '
                f'{weight} and {intervals}'
            )
        self.weight = weight
        self.intervals = intervals
        self.over_ranks = over_ranks

    def source_centroids(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(C, C), of scores (N, C, h, w) and labels (N, H, W): of cells that are classified rightly."""
        size = tuple(scores.shape[2:])
        labels = F.interpolate(labels[:, None].float(), size=size, mode='nearest')[:, 0].long()
        return class_centroids(at_least_float32(scores), labels, over_ranks=self.over_ranks)

    def loss(self, source: Tensor, scores: list[Tensor]) -> Tensor:
        """The weighted distance of the target's scores (N, C, h, w), for each interval, to source means (C, C)."""
        means = [class_centroids(at_least_float32(values), over_ranks=self.over_ranks) for values in scores]
        target = torch.stack(means).mean(dim=0)
        return self.weight * maximum_mean_discrepancy(source, target)


@MODELS.register_module()
class VideoAdapter(DomainAdapter):
    """The video methods: source pass, target pass against labels across time, mixed passes of clips.

    Source clips have frames t and t-1, both labelled if they are mixed, and the flow between them; target clips a past
    pair besides (``past`` of the data set).

    Args:
        student: config of a segmentor, usually a `FlowGuidedEncoderDecoder`.
        ema: config of the teacher's update; ``alpha=0`` makes the student its own teacher (TPS).
        pseudo_labels: config of `CrossFramePseudoLabels`.
        cross_frame: config of the target pass.
        mixing: config of `VideoQuadMix`; None leaves mixed passes out.
        photometric: config of the colour change of mixed clips; None leaves them as they are.
        strong_augmentation: config of a `StrongAugmentation` of the target's frames t and t-1, both alike, as the
            student sees them in the target pass and in mixtures; the teacher, the templates and a second interval of
            the adaptation loss see them as they are. None changes nothing.
        source_size: (H, W) at which whole source frames are segmented, their logits enlarged to the labels; None keeps
            the size of the loader. Mixing is not affected.
        feature_mixing, teacher_batch_statistics, eval_branch, seed: see `DomainAdapter`.
        centroid_alignment: config of the distance of class means; None leaves it out.
        match_histograms: give source frames the colours of the target's frame t first.
        joint_backward: one backward for all passes, as published, instead of one for each: gradients also flow through
            the source's class means and the features of TSS, and the graphs of all passes are in memory at once.

    Raises:
        ValueError: components that need each other are not given together, or do not fit each other.
    """

    labels_across_time = True

    def __init__(
        self,
        student: dict,
        ema: dict,
        pseudo_labels: dict,
        cross_frame: dict,
        mixing: dict | None = None,
        photometric: dict | None = None,
        strong_augmentation: dict | None = None,
        source_size: tuple[int, int] | None = None,
        feature_mixing: dict | None = None,
        centroid_alignment: dict | None = None,
        match_histograms: bool = False,
        joint_backward: bool = False,
        teacher_batch_statistics: bool = True,
        eval_branch: str = 'student',
        seed: int | None = None,
    ) -> None:
        super().__init__(
            student=student,
            ema=ema,
            pseudo_labels=pseudo_labels,
            mixing=mixing,
            photometric=photometric,
            feature_mixing=feature_mixing,
            teacher_batch_statistics=teacher_batch_statistics,
            eval_branch=eval_branch,
            seed=seed,
        )
        if not isinstance(self.pseudo_labels, CrossFramePseudoLabels):
            raise ValueError(
                'VideoAdapter labels clips across time: set pseudo_labels to CrossFramePseudoLabels, got '
                f'{type(self.pseudo_labels).__name__}'
            )
        if centroid_alignment is not None and not isinstance(self.student, FlowGuidedEncoderDecoder):
            raise ValueError(
                'centroid_alignment compares scores joined along the flow, which a '
                f'{type(self.student).__name__} does not have: use FlowGuidedEncoderDecoder, or leave it '
                'out'
            )
        self.cross_frame: CrossFramePass = MODELS.build(cross_frame)
        self.centroid_alignment: CentroidAlignment | None = (
            None if centroid_alignment is None else MODELS.build(centroid_alignment)
        )
        if (
            self.centroid_alignment is not None
            and self.centroid_alignment.intervals == 2
            and self.cross_frame.rescale is not None
        ):
            raise ValueError(
                'cross_frame.rescale changes the size of one interval of the centroid_alignment, but both '
                'are segmented in one batch: set rescale=None, or intervals=1'
            )
        self.strong_augmentation: PhotometricChange | None = (
            None if strong_augmentation is None else MODELS.build(strong_augmentation)
        )
        self.source_size = source_size
        self.joint_backward = joint_backward
        self.match_histograms = match_histograms

    @property
    def needs_outputs(self) -> bool:
        """Class means are made of scores."""
        return self.centroid_alignment is not None

    def passes(self, source: Clip, target: Clip, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, target across time, mixed passes."""
        if source.flow is None:
            raise ValueError(
                'the source gave images, or clips without flow, but motion is mixed with them: use a data '
                'set of clips and give its pipeline LoadClip, LoadFlow and PackClip'
            )
        if self.match_histograms:
            source = self.in_colours_of(source, target)
        yield Pass('source', source if self.source_size is None else resize_frames(source, self.source_size))
        plain = target.select([0, 1])
        shown = plain
        if self.strong_augmentation is not None:
            changes = self.strong_augmentation.draw(len(plain), self.generator)
            shown = plain.with_frames(self.strong_augmentation.apply(plain.frames, changes))
        item = self.cross_frame(shown, self.generator)
        if self.centroid_alignment is not None and self.centroid_alignment.intervals == 2:
            # Frame t with t-k-1.
            item = replace(item, extra=target.select([0, 3]))
        yield item
        if self.mixing is not None:
            shown, plain = (replace(clip, cell_labels=None) for clip in (shown, plain))
            template = None if self.strong_augmentation is None else plain
            yield from self.mixed_passes(source, shown, long_tail, template)

    def in_colours_of(self, source: Clip, target: Clip) -> Clip:
        """The source with each channel's distribution of values as in frame t of the target clip beside it."""
        index = [i % len(target) for i in range(len(source))]
        reference = torch.stack([target.frames[i, 0] for i in index])
        frames = [match_histograms(frame, reference) for frame in source.frames.unbind(1)]
        return source.with_frames(torch.stack(frames, dim=1))

    def extra_losses(self, item: Pass, frames: Tensor, outputs: Outputs, kept: IterationState) -> dict[str, Tensor]:
        """The distance of class means joins the target pass."""
        if self.centroid_alignment is None or item.name not in ('source', 'cross_frame'):
            return {}
        if item.name == 'source':
            scores = outputs.logits if self.joint_backward else outputs.logits.detach()
            kept.centroids = self.centroid_alignment.source_centroids(scores, item.clip.labels[:, 0])
            return {}
        scores = [outputs.logits] if outputs.extra_logits is None else [outputs.logits, outputs.extra_logits]
        return {'loss_centroids': self.centroid_alignment.loss(kept.centroids, scores)}

    def labelled_clip(self, batch: dict) -> Clip:
        """As for images.

        Raises:
            ValueError: clips are to be mixed, but their frame t-1 has no label.
        """
        for sample in batch['data_samples'] if self.mixing is not None else ():
            if sample.metainfo.get('labelled_frames', 2) < 2:
                raise ValueError(
                    f'{sample.metainfo.get("img_path")}: only frame t of this source clip has a label, '
                    'but classes are cut out of frame t-1, too: use a source whose frames are all '
                    'labelled'
                )
        return super().labelled_clip(batch)

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with labels of frames t and t-1 from the teacher; the other frames are ignored.

        Raises:
            ValueError: the clips have no past pair or no flow.
        """
        frames, samples = self.data_preprocessor.pixels(batch)
        flow = flow_of(samples)
        if frames.shape[1] != 4 or flow is None or 'past_flow' not in samples[0]:
            raise ValueError(
                f'the target gave clips of {frames.shape[1]} frames and '
                f'{"no" if flow is None else "their"} flow; labels across time need frame t, t-1, a past '
                'pair and the flow between them: give '
                'the target data set past=1 and its pipeline LoadClip, LoadFlow and PackClip'
            )
        valid = trusted_pixels(samples)
        past_flow = torch.stack([sample.past_flow for sample in samples])
        logits = self.past_logits(frames[:, 2:], past_flow)
        past = resize_logits(logits['decode'], tuple(frames.shape[-2:]))
        known = [self.pseudo_labels(past, flow[:, 1], valid), self._label_before(samples, frames[:, 1], past, valid)]
        none = torch.zeros_like(known[0].confidence)
        unknown = [PseudoLabel(labels=torch.full_like(known[0].labels, IGNORE), confidence=none, weights=none)] * 2
        labels, confidence, weights = (
            torch.stack([getattr(label, name) for label in (*known, *unknown)], dim=1)
            for name in ('labels', 'confidence', 'weights')
        )
        return Clip(
            frames=frames,
            labels=labels,
            weights=weights,
            confidence=confidence,
            flow=flow,
            cell_labels=self._cell_labels(logits, flow[:, 1]),
        )

    def _cell_labels(self, logits: Mapping[str, Tensor], flow: Tensor) -> Tensor:
        """Labels of frame t at the size of the main decoder's logits, (N, D, h, w), from each decoder's own logits."""
        size = tuple(logits['decode'].shape[2:])
        cell_flow = resize_flow(flow, size)
        return torch.stack(
            [self.pseudo_labels(resize_logits(values, size), cell_flow).labels for values in logits.values()], dim=1
        )

    def _label_before(
        self, samples: list[SegDataSample], frame: Tensor, past: Tensor, valid: Tensor | None
    ) -> PseudoLabel:
        """Labels of frame t-1, which mixing needs. With k = 1 it is frame t-k, else it is segmented by itself."""
        if all(sample.frame_paths[1] == sample.frame_paths[2] for sample in samples):
            return self.pseudo_labels(past, valid=valid)
        return self.pseudo_labels(self.teacher_logits(frame), valid=valid)

    @torch.inference_mode()
    def past_logits(self, frames: Tensor, flow: Tensor) -> dict[str, Tensor]:
        """Teacher logits (N, C, h, w) of the first of two frames (N, 2, 3, H, W) with their flow (N, 1, 2, H, W), by
        decoder: ``decode`` and, of flow-guided networks, those of auxiliary heads."""
        flip = self.pseudo_labels.draw_flip(self.generator)
        if flip:
            frames, flow = frames.flip(-1), flip_flow(flow[:, 0])[:, None]
        shown, options = model_inputs(self.teacher, self.data_preprocessor.normalize(frames), flow)
        if options:
            logits, _ = self.teacher.clip_logits(shown, **options, auxiliary=True)
        else:
            logits = {'decode': self.teacher(shown, mode='tensor')}
        return {name: values.flip(-1) for name, values in logits.items()} if flip else logits
