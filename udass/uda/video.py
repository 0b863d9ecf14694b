"""Adaptation on clips: pseudo-labels that travel along the flow, and what only video has to align.

Shapes: N batch, C classes, H, W pixels, h, w cells of scores. A target clip has frames t, t-1, t-k and t-k-1.
Source: TPS (Xing et al. 2022, arXiv 2203.12356); Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv
2311.13254), its video method.
"""
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.flow.warping import flip_flow, resize_flow, warp
from udass.models.segmentors import FlowGuidedEncoderDecoder, Outputs
from udass.uda.adapter import DomainAdapter
from udass.uda.centroids import class_centroids, maximum_mean_discrepancy
from udass.uda.clip import IGNORE, Clip
from udass.uda.histogram import match_histograms
from udass.uda.inputs import flow_of, what_is_shown
from udass.uda.mixing.long_tail import LongTail
from udass.uda.passes import Kept, Pass
from udass.uda.photometric import PhotometricChange
from udass.uda.pseudo_labels import PseudoLabel, two_class_logits


@MODELS.register_module()
class CrossFramePseudoLabels:
    """Labels of frame t from the teacher's scores of the past pair, warped to t (TPS).

    Every label counts fully; margins that the loader marks (``PseudoMargins``) have weight 0.

    Args:
        flip: show the teacher the past pair mirrored (TPS, whose teacher is the student itself).
    """

    def __init__(self, flip: bool = False) -> None:
        self.flip = flip

    def __call__(self, scores: Tensor, flow: Tensor | None = None, valid: Tensor | None = None) -> PseudoLabel:
        """Label of a frame.

        Args:
            scores: (N, C, H, W) of another frame; of the frame itself where there is no flow.
            flow: (N, 2, H, W) from the frame to that other one.
            valid: (N, 1, H, W) bool.
        """
        shares = two_class_logits(scores.float()).softmax(dim=1)
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
        photometric: config of a `PhotometricChange`, alike for both frames; None leaves them as they are.
        rescale: range of a factor of the clip's size, drawn once per iteration; None leaves the size.

    Raises:
        ValueError: a scale or range that makes no sense.
    """

    def __init__(self, scale: float = 1.0, photometric: dict | None = None,
                 rescale: tuple[float, float] | None = None) -> None:
        if scale <= 0 or rescale is not None and not 0 < rescale[0] <= rescale[1]:
            raise ValueError('CrossFramePass: scale is a factor of the loss, larger than 0, and rescale a range of '
                             f'sizes, 0 < low <= high, or None; got {scale} and {rescale}')
        self.scale = scale
        self.photometric: PhotometricChange | None = None if photometric is None else MODELS.build(photometric)
        self.rescale = rescale

    def __call__(self, target: Clip, generator: torch.Generator) -> Pass:
        """The pass of a pseudo-labelled clip."""
        clip = target
        if self.photometric is not None:
            draw = self.photometric.draw(len(clip), generator)
            clip = clip.with_frames(self.photometric.apply(clip.frames, draw))
        if self.rescale is not None:
            low, high = self.rescale
            factor = low + (high - low) * torch.rand(1, generator=generator).tolist()[0]
            clip = resize_clip(clip, tuple(round(factor * side) for side in clip.size))
        return Pass('cross_frame', clip, scale=self.scale)


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """A clip at another size (H, W): frames and motion interpolated, labels and weights those of the nearest pixel."""
    def nearest(value: Tensor | None) -> Tensor | None:
        return None if value is None else F.interpolate(value.float(), size=size, mode='nearest').to(value.dtype)

    frames = F.interpolate(clip.frames.flatten(0, 1), size=size, mode='bilinear', align_corners=True)
    flow = None if clip.flow is None else resize_flow(clip.flow.flatten(0, 1), size).unflatten(0, clip.flow.shape[:2])
    return Clip(frames=frames.unflatten(0, clip.frames.shape[:2]), labels=nearest(clip.labels),
                weights=nearest(clip.weights), confidence=nearest(clip.confidence), flow=flow,
                unwarped=nearest(clip.unwarped))


@MODELS.register_module()
class CentroidAlignment:
    """Draws the target's class means of fused scores to those of the source (flow-guided spatio-temporal alignment).

    The source's means carry no gradient: the graph of the source pass is gone when the target is seen.

    Args:
        weight: factor of the squared distance in the loss.
        intervals: over how many motions the target's means are averaged: 1 takes (t, t-1), 2 also (t, t-k-1).
        over_ranks: see `class_centroids`.

    Raises:
        ValueError: a negative weight, or other intervals.
    """

    def __init__(self, weight: float = 0.01, intervals: int = 1, over_ranks: bool = True) -> None:
        if weight < 0 or intervals not in (1, 2):
            raise ValueError('CentroidAlignment: weight is a factor of the loss, 0 or more, and intervals 1 or 2; got '
                             f'{weight} and {intervals}')
        self.weight = weight
        self.intervals = intervals
        self.over_ranks = over_ranks

    def source_centroids(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(C, C), of scores (N, C, h, w) and labels (N, H, W): of cells that are classified rightly."""
        size = tuple(scores.shape[2:])
        labels = F.interpolate(labels[:, None].float(), size=size, mode='nearest')[:, 0].long()
        return class_centroids(scores.detach().float(), labels, over_ranks=self.over_ranks)

    def loss(self, source: Tensor, scores: list[Tensor]) -> Tensor:
        """The weighted distance of the target's scores (N, C, h, w), for each interval, to source means (C, C)."""
        means = [class_centroids(values.float(), over_ranks=self.over_ranks) for values in scores]
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
        feature_mixing, teacher_batch_statistics, eval_branch, seed: see `DomainAdapter`.
        centroid_alignment: config of the distance of class means; None leaves it out.
        match_histograms: give source frames the colours of the target's frame t first.

    Raises:
        ValueError: components that need each other are not given together, or do not fit each other.
    """

    labels_across_time = True

    def __init__(self,
                 student: dict,
                 ema: dict,
                 pseudo_labels: dict,
                 cross_frame: dict,
                 mixing: dict | None = None,
                 photometric: dict | None = None,
                 feature_mixing: dict | None = None,
                 centroid_alignment: dict | None = None,
                 match_histograms: bool = False,
                 teacher_batch_statistics: bool = True,
                 eval_branch: str = 'student',
                 seed: int | None = None) -> None:
        super().__init__(student=student, ema=ema, pseudo_labels=pseudo_labels, mixing=mixing, photometric=photometric,
                         feature_mixing=feature_mixing, teacher_batch_statistics=teacher_batch_statistics,
                         eval_branch=eval_branch, seed=seed)
        if not isinstance(self.pseudo_labels, CrossFramePseudoLabels):
            raise ValueError('VideoAdapter labels clips across time: set pseudo_labels to CrossFramePseudoLabels, got '
                             f'{type(self.pseudo_labels).__name__}')
        if centroid_alignment is not None and not isinstance(self.student, FlowGuidedEncoderDecoder):
            raise ValueError('centroid_alignment compares scores joined along the flow, which a '
                             f'{type(self.student).__name__} does not have: use FlowGuidedEncoderDecoder, or leave it '
                             'out')
        self.cross_frame: CrossFramePass = MODELS.build(cross_frame)
        self.centroid_alignment: CentroidAlignment | None = (None if centroid_alignment is None else
                                                             MODELS.build(centroid_alignment))
        self.match_histograms = match_histograms

    @property
    def needs_outputs(self) -> bool:
        """Class means are made of scores."""
        return self.centroid_alignment is not None

    def passes(self, source: Clip, target: Clip, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, target across time, mixed passes."""
        if source.flow is None:
            raise ValueError('the source gave images, or clips without flow, but motion is mixed with them: use a data '
                             'set of clips and give its pipeline LoadClip, LoadFlow and PackClip')
        if self.match_histograms:
            source = self.in_colours_of(source, target)
        yield Pass('source', source)
        # Frames t and t-1; for a second interval also t-k-1.
        intervals = 1 if self.centroid_alignment is None else self.centroid_alignment.intervals
        shown = target.select([0, 1, 3][:1 + intervals])
        yield replace(self.cross_frame(shown, self.generator), intervals=intervals)
        if self.mixing is not None:
            yield from self.mixed_passes(source, target.select([0, 1]), long_tail)

    def in_colours_of(self, source: Clip, target: Clip) -> Clip:
        """The source with each channel's distribution of values as in frame t of the target clip beside it."""
        index = [i % len(target) for i in range(len(source))]
        reference = torch.stack([target.frames[i, 0] for i in index])
        frames = [match_histograms(frame, reference) for frame in source.frames.unbind(1)]
        return source.with_frames(torch.stack(frames, dim=1))

    def further_losses(self, item: Pass, frames: Tensor, outputs: Outputs, kept: Kept) -> dict[str, Tensor]:
        """The distance of class means joins the target pass."""
        if self.centroid_alignment is None or item.name not in ('source', 'cross_frame'):
            return {}
        if item.name == 'source':
            kept.centroids = self.centroid_alignment.source_centroids(outputs.scores, item.clip.labels[:, 0])
            return {}
        scores = [outputs.scores, *outputs.further]
        return {'loss_centroids': self.centroid_alignment.loss(kept.centroids, scores)}

    def labelled_clip(self, batch: dict) -> Clip:
        """As for images.

        Raises:
            ValueError: clips are to be mixed, but their frame t-1 has no label.
        """
        for sample in batch['data_samples'] if self.mixing is not None else ():
            if sample.metainfo.get('labelled_frames', 2) < 2:
                raise ValueError(f'{sample.metainfo.get("img_path")}: only frame t of this source clip has a label, '
                                 'but classes are cut out of frame t-1, too: use a source whose frames are all '
                                 'labelled')
        return super().labelled_clip(batch)

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with labels of frames t and t-1 from the teacher; the other frames are ignored.

        Raises:
            ValueError: the clips have no past pair or no flow.
        """
        frames, samples = self.data_preprocessor.pixels(batch)
        flow = flow_of(samples)
        if frames.shape[1] != 4 or flow is None or 'past_flow' not in samples[0]:
            raise ValueError(f'the target gave clips of {frames.shape[1]} frames and '
                             f'{"no" if flow is None else "their"} flow; labels across time need frame t, t-1, a past '
                             'pair and the flow between them: give '
                             'the target data set past=1 and its pipeline LoadClip, LoadFlow and PackClip')
        valid = None
        if 'valid_pseudo_mask' in samples[0]:
            valid = torch.stack([sample.valid_pseudo_mask.data for sample in samples])
        past_flow = torch.stack([sample.past_flow.data for sample in samples])
        past = self.past_scores(frames[:, 2:], past_flow)
        known = [self.pseudo_labels(past, flow[:, 1], valid), self._label_before(samples, frames[:, 1], past, valid)]
        none = torch.zeros_like(known[0].confidence)
        unknown = [PseudoLabel(labels=torch.full_like(known[0].labels, IGNORE), confidence=none, weights=none)] * 2
        labels, confidence, weights = (torch.stack([getattr(label, name) for label in (*known, *unknown)], dim=1)
                                       for name in ('labels', 'confidence', 'weights'))
        return Clip(frames=frames, labels=labels, weights=weights, confidence=confidence, flow=flow)

    def _label_before(self, samples: list[SegDataSample], frame: Tensor, past: Tensor,
                      valid: Tensor | None) -> PseudoLabel:
        """Labels of frame t-1, which mixing needs. With k = 1 it is frame t-k, else it is segmented by itself."""
        if all(sample.frame_paths[1] == sample.frame_paths[2] for sample in samples):
            return self.pseudo_labels(past, valid=valid)
        return self.pseudo_labels(self.teacher_logits(frame), valid=valid)

    @torch.inference_mode()
    def past_scores(self, frames: Tensor, flow: Tensor) -> Tensor:
        """Teacher scores (N, C, H, W) of the first of two frames (N, 2, 3, H, W) and their flow (N, 2, H, W)."""
        if self.pseudo_labels.flip:
            frames, flow = frames.flip(-1), flip_flow(flow)
        meta = dict(img_shape=frames.shape[-2:], ori_shape=frames.shape[-2:], pad_shape=frames.shape[-2:])
        shown, options = what_is_shown(self.teacher, self.data_preprocessor.normalize(frames), flow[:, None])
        scores = self.teacher.encode_decode(shown, [meta] * len(frames), **options)
        return scores.flip(-1) if self.pseudo_labels.flip else scores

