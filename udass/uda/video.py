"""Adaptation on clips: pseudo-labels that are warped along the flow, and the alignment of class means.

Shapes: N batch, T frames, C classes, H, W pixels, h, w size of logits. A target clip has frames t, t-1, t-k and t-k-1.
Source: TPS (Xing et al. 2022, arXiv 2203.12356); Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv
2311.13254), its video method.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.flow.warping import flip_flow, resize_flow
from udass.models.segmentors import FlowGuidedEncoderDecoder, Outputs
from udass.models.segmentors.logit_fusion import resize_logits
from udass.uda.adapter import DomainAdapter
from udass.uda.clip import Clip, Pass, PassResult, stack_field
from udass.uda.mixing.long_tail import LongTail
from udass.uda.networks import build_component, model_inputs
from udass.uda.photometric import match_histograms
from udass.uda.pseudo_labels import CrossFramePseudoLabels, pseudo_labelled


@MODELS.register_module()
class CrossFramePass:
    """The pass of the target clip against its labels across time.

    Args:
        scale: its factor in the loss (lambda_T).
        rescale: range of a factor of the clip's size, drawn once per iteration; None leaves the size. Sides become
            multiples of 8 pixels. The student's logits are resized to the labels.
        full_size: learn labels at the size of the image; auxiliary heads then learn those of the main head. False (as
            published) learns labels at the size of the logits, each head its own.
    """

    def __init__(self, scale: float = 1.0, rescale: tuple[float, float] | None = None, full_size: bool = False) -> None:
        if scale <= 0 or rescale is not None and not 0 < rescale[0] <= rescale[1]:
            raise ValueError(
                'CrossFramePass: scale must be larger than 0, and rescale a range of sizes, 0 < low <= high, or None; '
                f'got {scale} and {rescale}'
            )
        self.scale, self.rescale, self.full_size = scale, rescale, full_size

    def __call__(self, target: Clip, generator: Generator) -> Pass:
        """The pass of a clip with ``cell_labels``."""
        labels = target.labels[:, :1] if self.full_size else target.cell_labels
        # The weights, 0 in the margins, at the size of the labels.
        weights = F.interpolate(target.weights[:, :1], size=tuple(labels.shape[-2:]), mode='nearest')
        clip = replace(target, labels=labels[:, :1], weights=weights, confidence=None, cell_labels=None)
        if self.rescale is not None:
            low, high = self.rescale
            factor = low + (high - low) * torch.rand(1, generator=generator).tolist()[0]
            size = tuple(max(round(factor * side / 8), 1) * 8 for side in clip.size)
            clip = clip.resize_frames(size, align_corners=True)
        return Pass('cross_frame', clip, scale=self.scale, auxiliary_labels=None if self.full_size else labels[:, 1:])


@MODELS.register_module()
class VideoAdapter(DomainAdapter):
    """The video methods: source pass, target pass against labels across time, mixed passes of clips.

    Source clips have frames t and t-1, both labelled if they are mixed, and the flow between them; target clips also a
    past pair (``past`` of the data set).

    Args:
        student: config of a segmentor, usually a `FlowGuidedEncoderDecoder`.
        ema: config of the teacher's update; ``alpha=0`` makes the student its own teacher (TPS).
        pseudo_labels: config of `CrossFramePseudoLabels`.
        cross_frame: config of the target pass.
        mixing: config of `VideoQuadMix`. None leaves out the component, here and below.
        photometric: config of the colour change of mixed and masked clips.
        target_augmentation: config of a `StrongAugmentation` of the target's frames t and t-1, both alike, for the
            student's target pass and mixtures; the teacher, the templates, the masked pass and the second interval of
            the centroid alignment have them without it.
        masking: config of the masking of the masked pass, after the mixed ones.
        source_size: (H, W) at which whole source frames are segmented, their logits enlarged to the labels; None keeps
            the size of the loader. Mixing is not affected.
        feature_mixing, teacher_batch_statistics, eval_branch, seed: see `DomainAdapter`.
        centroid_alignment: config of the distance of class means.
        match_histograms: first give source frames the colours of the target's frame t.
        joint_backward: one backward for all passes, as published, instead of one for each: gradients also flow through
            the source's class means and the features of TSS, and the graphs of all passes are in memory at once.
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
        target_augmentation: dict | None = None,
        masking: dict | None = None,
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
            target_augmentation=target_augmentation,
            masking=masking,
            feature_mixing=feature_mixing,
            teacher_batch_statistics=teacher_batch_statistics,
            eval_branch=eval_branch,
            seed=seed,
        )
        self.cross_frame = build_component(cross_frame)
        self.centroid_alignment = build_component(centroid_alignment)
        self.source_size = source_size
        self.match_histograms = match_histograms
        self.joint_backward = joint_backward
        self._check()

    def _check(self) -> None:
        if not isinstance(self.pseudo_labels, CrossFramePseudoLabels):
            raise ValueError(
                'VideoAdapter labels clips across time: set pseudo_labels to CrossFramePseudoLabels, got '
                f'{type(self.pseudo_labels).__name__}'
            )
        if self.centroid_alignment is None:
            return
        if not isinstance(self.student, FlowGuidedEncoderDecoder):
            raise ValueError(
                f'centroid_alignment compares logits fused along the flow, which a {type(self.student).__name__} '
                'does not have: use FlowGuidedEncoderDecoder, or leave it out'
            )
        if self.centroid_alignment.intervals == 2 and self.cross_frame.rescale is not None:
            raise ValueError(
                'cross_frame.rescale changes the size of only one interval of the centroid_alignment: set '
                'rescale=None, or intervals=1'
            )

    @property
    def keeps_logits(self) -> bool:
        """Whether the class means of the target are compared with those of the source."""
        return self.centroid_alignment is not None

    def passes(self, source: Clip, target: Clip, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, target across time, mixed and masked passes."""
        if source.flow is None:
            raise ValueError(
                'the source gave images, or clips without flow, but motion is mixed with them: use a data '
                'set of clips and give its pipeline LoadClip, LoadFlow and PackClip'
            )
        if self.match_histograms:
            source = self.in_colours_of(source, target)
        whole = source if self.source_size is None else source.resize_frames(self.source_size, align_corners=True)
        yield Pass('source', whole, weighted=False)

        plain = target.select_frames([0, 1])
        augmented = self.augment(plain, self.target_augmentation)
        item = self.cross_frame(augmented, self.generator)
        if self.centroid_alignment is not None and self.centroid_alignment.intervals == 2:
            item = replace(item, extra=target.select_frames([0, 3]))  # t and t-k-1
        yield item

        plain, augmented = (replace(clip, cell_labels=None) for clip in (plain, augmented))
        if self.mixing is not None:
            yield from self.mixed_passes(source, augmented, long_tail, plain)
        if self.masking is not None:
            yield self.masked_pass(source, plain)

    def in_colours_of(self, source: Clip, target: Clip) -> Clip:
        """The source with the distribution of values of frame t of the target clip beside it, in each channel."""
        index = [i % len(target) for i in range(len(source))]
        reference = torch.stack([target.frames[i, 0] for i in index])
        frames = [match_histograms(frame, reference) for frame in source.frames.unbind(1)]
        return replace(source, frames=torch.stack(frames, dim=1))

    def extra_losses(
        self, item: Pass, frames: Tensor, outputs: Outputs, earlier: Mapping[str, PassResult]
    ) -> dict[str, Tensor]:
        """The target pass has the distance of its class means to those of the source pass."""
        if self.centroid_alignment is None or item.name != 'cross_frame':
            return {}
        source = self.centroid_alignment.source_centroids(earlier['source'].logits, earlier['source'].labels)
        target = [logits for logits in (outputs.logits, outputs.extra_logits) if logits is not None]
        return {'loss_centroids': self.centroid_alignment(source, target)}

    def labelled_clip(self, batch: dict) -> Clip:
        """As for images; ValueError if clips are to be mixed, but their frame t-1 has no label."""
        for sample in batch['data_samples'] if self.mixing is not None else ():
            if sample.metainfo.get('labelled_frames', 2) < 2:
                raise ValueError(
                    f'{sample.metainfo.get("img_path")}: only frame t of this source clip has a label, but classes '
                    'are cut out of frame t-1, too: use a source whose frames are all labelled'
                )
        return super().labelled_clip(batch)

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with labels of frames t and t-1 from the teacher, the other frames being ignored; ValueError
        if the clips have no past pair or no flow."""
        frames, samples = self.data_preprocessor.pixels(batch)  # (N, 4, 3, H, W)
        flow, past_flow, valid = (stack_field(samples, name) for name in ('flow', 'past_flow', 'valid_pseudo_mask'))
        if frames.shape[1] != 4 or flow is None or past_flow is None:
            raise ValueError(
                f'the target gave clips of {frames.shape[1]} frames and {"no" if flow is None else "their"} flow; '
                'labels across time need frame t, t-1, a past pair and the flow between them: give the target data '
                'set past=1 and its pipeline LoadClip, LoadFlow and PackClip'
            )
        # Logits of frame t-k, then probabilities warped to t along the flow (N, 2, H, W) from t to t-k.
        logits = self.past_logits(frames[:, 2:], past_flow)
        past = resize_logits(logits['decode'], tuple(frames.shape[-2:]))
        label = self.pseudo_labels(past, flow[:, 1], valid)
        # Mixing needs labels of frame t-1, too. With k = 1 it is frame t-k, else it is segmented by itself.
        is_past = all(sample.frame_paths[1] == sample.frame_paths[2] for sample in samples)
        before = self.pseudo_labels(past if is_past else self.teacher_logits(frames[:, 1]), valid=valid)
        # Labels of frame t at the size of the logits, of each decoder's own.
        size = tuple(logits['decode'].shape[2:])
        cell_flow = resize_flow(flow[:, 1], size)
        cells = [self.pseudo_labels(resize_logits(values, size), cell_flow).labels for values in logits.values()]
        return replace(pseudo_labelled(frames, flow, [label, before]), cell_labels=torch.stack(cells, dim=1))

    @torch.inference_mode()
    def past_logits(self, frames: Tensor, flow: Tensor) -> dict[str, Tensor]:
        """Teacher logits (N, C, h, w) of the first of two frames (N, 2, 3, H, W) with their flow (N, 1, 2, H, W), by
        decoder: ``decode`` and, of flow-guided networks, those of auxiliary heads."""
        flip = self.pseudo_labels.draw_flip(self.generator)
        if flip:
            frames, flow = frames.flip(-1), flip_flow(flow[:, 0])[:, None]
        inputs, options = model_inputs(self.teacher, self.data_preprocessor.normalize(frames), flow)
        if options:
            logits, _ = self.teacher.clip_logits(inputs, **options, auxiliary=True)
        else:
            logits = {'decode': self.teacher(inputs, mode='tensor')}
        return {name: values.flip(-1) for name, values in logits.items()} if flip else logits
