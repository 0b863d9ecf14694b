"""The training step of all methods; a method is the set of components that a config gives it.

Shapes: N batch, T frames (1 for images), C classes, H, W pixels, h, w size of logits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor

from udass.flow.warping import flip_flow
from udass.models.ranks import seed_of_rank
from udass.models.segmentors import FlowGuidedEncoderDecoder, HRDAEncoderDecoder, Outputs
from udass.models.windows import Box
from udass.uda.adaptation_losses import train_discriminator
from udass.uda.checks import check_adapter, check_optimizers
from udass.uda.clip import Clip, Pass, PassResult, mean_logs, stack_field
from udass.uda.masking import TokenMasking
from udass.uda.mixing.long_tail import LongTail, group_long_tail
from udass.uda.networks import build_component, frozen_running_statistics, model_inputs, unwrap
from udass.uda.pseudo_labels import pseudo_labelled, two_class_logits
from udass.uda.training_model import TeacherStudent


@MODELS.register_module()
class DomainAdapter(TeacherStudent):
    """A student that learns from source labels and, as its components say, from the unlabelled target.

    Children are named as in checkpoints: ``student.``, ``teacher.`` and ``imagenet.`` are mmseg segmentors (the last
    one without decoder), ``adaptation_loss.`` may be a discriminator.

    Args:
        student: config of a segmentor (with a `PixelPreprocessor`).
        ema: config of the teacher's update. None leaves out the component or pass, here and below.
        pseudo_labels: config of the component that turns teacher logits into labels and weights; needed with ema.
        mixing: config of a `Mixing`, which makes mixed passes of source and target.
        photometric: config of the colour change of mixed and masked images.
        source_augmentation: config of the colour change of the source pass; mixed images have the source without it.
        target_augmentation: config of a colour change of the target in mixed images and of both domains in the passes
            of the distillation; the teacher, templates and the masked pass have the target without it.
        masking: config of the masking of the masked pass.
        feature_distance: config of the loss on the distance to ImageNet features.
        adaptation_loss: config of a loss on unlabelled target images, built with the student's ``num_classes``.
        feature_mixing: config of the mixing of decoder features between mixed passes.
        distillation: config of a `FeatureDistillation`, which makes a pass of the source and one of the target.
        teacher_batch_statistics: the teacher's batch norm uses the batch's statistics (the reference), not the running
            ones.
        masked_statistics: the student's running statistics of batch norm, with which it validates and tests, also
            follow the masked pass (the reference). False leaves them to the passes of whole images.
        eval_branch: the network that validates and tests, ``student`` (the reference) or ``teacher``.
        seed: of the step's own random stream (classes, colours, blocks, detail crops), whose state is saved; None takes
            torch's initial seed (the runner's). Each process has its own stream.
    """

    labels_across_time = False  # a pass other than mixed and masked ones uses pseudo-labels
    joint_backward = False  # one backward of all passes, so that gradients flow between them

    def __init__(
        self,
        student: dict,
        ema: dict | None = None,
        pseudo_labels: dict | None = None,
        mixing: dict | None = None,
        photometric: dict | None = None,
        source_augmentation: dict | None = None,
        target_augmentation: dict | None = None,
        masking: dict | None = None,
        feature_distance: dict | None = None,
        adaptation_loss: dict | None = None,
        feature_mixing: dict | None = None,
        distillation: dict | None = None,
        teacher_batch_statistics: bool = True,
        masked_statistics: bool = True,
        eval_branch: str = 'student',
        seed: int | None = None,
    ) -> None:
        super().__init__(student, ema is not None, feature_distance is not None, distillation)
        uses_labels = mixing is not None or masking is not None or self.labels_across_time
        if ema is not None and (pseudo_labels is None or not uses_labels):
            raise ValueError('a teacher (ema) needs pseudo_labels, and mixing or masking to use them')
        if ema is None and not (pseudo_labels is mixing is photometric is masking is feature_mixing is None):
            raise ValueError(
                'pseudo_labels, mixing, photometric, masking and feature_mixing work on pseudo-labels: give ema too'
            )
        self.ema = build_component(ema)
        self.pseudo_labels = build_component(pseudo_labels)
        self.mixing = build_component(mixing)
        self.photometric = build_component(photometric)
        self.source_augmentation = build_component(source_augmentation)
        self.target_augmentation = build_component(target_augmentation)
        self.masking = build_component(masking)
        self.feature_distance = build_component(feature_distance)
        self.adaptation_loss = build_component(adaptation_loss, num_classes=self.student.num_classes)
        self.feature_mixing = build_component(feature_mixing)
        self.teacher_batch_statistics = teacher_batch_statistics
        self.masked_statistics = masked_statistics
        self.eval_branch = eval_branch
        self.seed = torch.initial_seed() if seed is None else seed
        self.generator = torch.Generator().manual_seed(seed_of_rank(self.seed, get_rank()))
        self.iteration = 0
        check_adapter(self)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, Tensor]:
        """One iteration of training; returns scalars for the log, on the device.

        Args:
            data: ``source``, ``target`` and, for the long-tail paste, ``long_tail`` batches of the loaders.
            optim_wrapper: of the student, or of ``student`` and ``adaptation_loss``.
        """
        optimizer, adaptation_optimizer = check_optimizers(self.adaptation_loss, optim_wrapper)
        log: dict[str, Tensor] = {}

        # 1. Source with its labels: frames (N, T, 3, H, W), labels and weights (N, T, H, W).
        source, target = self.labelled_clip(data['source']), None
        long_tail = self.long_tail(data['long_tail'], len(source)) if 'long_tail' in data else None

        # 2. The teacher follows the student and labels the target.
        self.update_teacher(after_step=False)
        if self.ema is not None:
            with optimizer.optim_context(self.teacher):  # in the precision of the student
                target = self.pseudo_labelled_clip(data['target'])
            self.call_pass_hooks('target', target)
            log['confidence'] = target.confidence[:, 0].mean()
        elif self.needs_target:
            target = self.unlabelled_clip(data['target'])

        # 3. The passes of the method, one after the other: images, forward, losses, backward. Gradients add up.
        # Each goes through the student in parts of the batch, most often one; each part has its own results.
        results: list[dict[str, PassResult]] = [{} for _ in range(self.accumulative_counts)]
        for item in self.passes(source, target, long_tail):
            if item.name in results[0]:
                raise ValueError(f'two passes of one iteration are named {item.name}: the log would mix their losses')
            self.call_pass_hooks(item.name, item.clip)
            for part, earlier in zip(item.split(len(results)), results, strict=True):
                earlier[item.name] = self.run_pass(part, optimizer, earlier)
            log.update(mean_logs([part[item.name].log for part in results]))

        # 4. One step of the student.
        loss: Any = sum(result.loss for part in results for result in part.values()) / len(results)  # scalar
        if self.joint_backward:
            optimizer.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        self.update_teacher(after_step=True)

        # 5. One step of the discriminator, if there is one, on detached logits (N, C, H, W) of both domains.
        if adaptation_optimizer is not None:
            source_logits, target_logits = (
                torch.cat([self.at_image_size(part[name].logits, part[name].labels) for part in results])
                for name in ('source', 'target')
            )
            logits = source_logits, target_logits
            log.update(train_discriminator(self.adaptation_loss, *logits, adaptation_optimizer, optimizer))

        self.iteration += 1
        return {'loss': loss.detach(), **log}

    def update_teacher(self, after_step: bool) -> None:
        """Update the teacher, if that is due before or after the student's step."""
        if self.ema is not None and self.ema.after_step == after_step:
            self.ema.update(self.teacher, unwrap(self.student))

    def passes(self, source: Clip, target: Clip | None, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, mixed, masked, unlabelled, distilled passes. Each is made when the one before is done and
        freed."""
        yield Pass(
            'source',
            self.augment(source, self.source_augmentation),
            box=self.detail_box(source),
            weighted=False,
            feature_distance=self.feature_distance is not None,
        )
        if self.mixing is not None:
            yield from self.mixed_passes(source, self.augment(target, self.target_augmentation), long_tail, target)
        if self.masking is not None:
            yield replace(self.masked_pass(source, target), track_statistics=self.masked_statistics)
        if self.adaptation_loss is not None:
            yield Pass('target', target, labelled=False)
        if self.distillation is not None:
            for name, clip in (('source', source), ('target', target)):
                augmented = self.augment(clip, self.target_augmentation)
                yield Pass(f'distilled_{name}', augmented, distilled=clip.frames)

    def augment(self, clip: Clip, augmentation: Any) -> Clip:
        """The clip with an augmentation of its colours, or as it is."""
        if augmentation is None:
            return clip
        return replace(clip, frames=augmentation.apply(clip.frames, augmentation.draw(len(clip), self.generator)))

    def mixed_passes(self, source: Clip, target: Clip, long_tail: LongTail | None, template: Clip) -> Iterator[Pass]:
        """Mixed images in changed colours, see `Mixing`."""
        mixed = self.mixing(source, target, self.student_classes, self.iteration, self.generator, long_tail, template)
        # The passes share the decision, but the change of each image is drawn anew, as in the reference.
        share = self.photometric is not None and not self.photometric.per_image
        decision = self.photometric.decide(self.generator) if share else None
        # Passes that mix decoder features must have the same detail crop.
        box = None if self.feature_mixing is None else self.detail_box(target)
        for item in mixed:
            clip = item.clip
            if self.photometric is not None:
                changes = [self.photometric.draw(1, self.generator, decision)[0] for _ in range(len(clip))]
                clip = replace(clip, frames=self.photometric.apply(clip.frames, changes))
            yield replace(item, clip=clip, box=box or self.detail_box(clip))

    def masked_pass(self, source: Clip, target: Clip) -> Pass:
        """Images with blocks or tokens masked out, against their labels (MIC); see `Masking` for which."""
        clip = self.masking.select(source, target)
        if self.masking.mode == 'target':
            clip = self.augment(clip, self.photometric)
        if isinstance(self.masking, TokenMasking):
            grid = unwrap(self.student).backbone.token_grid(clip.size)
            return Pass('masked', clip, token_mask=self.masking.draw(len(clip), grid, self.generator))
        clip = self.masking.mask(clip, self.data_preprocessor.neutral, self.generator)
        return Pass('masked', clip, box=self.detail_box(clip))

    def run_pass(self, item: Pass, optimizer: OptimWrapper, earlier: Mapping[str, PassResult]) -> PassResult:
        """Forward and backward of one pass; ``earlier`` has the results of the iteration's earlier passes by name."""
        if not item.track_statistics:
            # Around the backward, too, which repeats the forward where activations are checkpointed.
            with frozen_running_statistics(self.student):
                return self.run_pass(replace(item, track_statistics=True), optimizer, earlier)
        frames = self.data_preprocessor.normalize(item.clip.frames)  # (N, T, 3, H, W)
        with optimizer.optim_context(self.student), self.mixed_features(item, earlier) as features:
            outputs = self.student_outputs(frames, item)  # logits (N, C, h, w)
            extra = self.extra_losses(item, frames, outputs, earlier)
        loss, values = self.parse_losses({**outputs.losses, **extra})
        if item.scale != 1:
            # Only the cross-entropy is scaled.
            loss = loss + (item.scale - 1) * self.parse_losses(outputs.losses)[0]
        if not self.joint_backward:
            optimizer.backward(loss / self.accumulative_counts)
            loss = loss.detach()
        log = {f'{item.name}.{key}': value.detach() for key, value in values.items() if key != 'loss'}
        if not self.keeps_logits or outputs.logits is None:
            return PassResult(loss, log, features=features)
        logits = outputs.logits if self.joint_backward else outputs.logits.detach()
        return PassResult(loss, log, logits, item.clip.labels[:, 0], features)

    def student_outputs(self, frames: Tensor, item: Pass) -> Outputs:
        """The student's forward on normalised frames (N, T, 3, H, W), with its cross-entropy if the pass has labels."""
        student = unwrap(self.student)
        inputs, options = model_inputs(student, frames, item.clip.flow)
        if item.distilled is not None:
            return Outputs({}, self.student(frames[:, 0], mode='features'), None)
        if not item.labelled:
            return Outputs({}, [], self.at_image_size(self.student(inputs, mode='tensor', **options), item.clip.labels))
        if options:
            options.update(no_flow=item.clip.no_flow, auxiliary=item.auxiliary)
        if item.extra is not None:
            options['extra_clip'] = self.data_preprocessor.normalize(item.extra.frames), item.extra.flow
        if item.box is not None:
            options['crop_box'] = item.box
        if item.token_mask is not None:
            options['token_mask'] = item.token_mask.to(frames.device, non_blocking=True)
        samples = item.data_samples()
        if not self.needs_outputs and item.token_mask is None:  # any segmentor of mmseg has this mode
            return Outputs(self.student(inputs, samples, mode='loss', **options), [], None)
        return self.student(inputs, samples, mode='outputs', **options)

    def extra_losses(
        self, item: Pass, frames: Tensor, outputs: Outputs, earlier: Mapping[str, PassResult]
    ) -> dict[str, Tensor]:
        """Losses of a pass besides its cross-entropy, for normalised frames (N, T, 3, H, W)."""
        if item.distilled is not None:
            targets = unwrap(self.distillation).targets(self.data_preprocessor.normalize(item.distilled[:, 0]))
            return {'loss_distillation': self.distillation(outputs.features[-1], targets)}
        if not item.labelled:
            return unwrap(self.adaptation_loss).target_losses(outputs.logits)
        if not item.feature_distance:
            return {}
        with torch.inference_mode():
            imagenet = self.imagenet.extract_feat(frames[:, 0])[-1]
        return {'loss_feature_distance': self.feature_distance(outputs.features[-1], imagenet, item.clip.labels[:, 0])}

    def mixed_features(self, item: Pass, earlier: Mapping[str, PassResult]) -> AbstractContextManager[Sequence[Tensor]]:
        """The first pass with pasted content records its decoder features, the next one mixes them into its own."""
        if item.pasted is None or self.feature_mixing is None or self.iteration < self.feature_mixing.start_iter:
            return nullcontext([])
        student = unwrap(self.student)
        recorded = next((result.features for result in earlier.values() if result.features), None)
        if recorded is None:
            return self.feature_mixing.record(student, with_graph=self.joint_backward)
        # One mask per call of the fusion layer: context and detail of HRDA, else frame t alone, which comes first.
        mask = item.pasted[:, :1]
        return self.feature_mixing.mix(student, recorded, [mask] if item.box is None else student.views(mask, item.box))

    def at_image_size(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, C, H, W) at the size of labels (..., H, W); a binary head gets a second class."""
        align_corners = unwrap(self.student).align_corners
        return resize(two_class_logits(logits), labels.shape[-2:], mode='bilinear', align_corners=align_corners)

    def detail_box(self, clip: Clip) -> Box | None:
        """A drawn detail crop for HRDA networks, None for others."""
        student = unwrap(self.student)
        return student.draw_crop_box(clip.size, self.generator) if isinstance(student, HRDAEncoderDecoder) else None

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with the teacher's labels of frame 0; clips must have flow (ValueError)."""
        frames, samples = self.data_preprocessor.pixels(batch)
        flow = stack_field(samples, 'flow')
        if frames.shape[1] > 1 and flow is None:
            raise ValueError(
                f'the target gave clips of {frames.shape[1]} frames without flow: let its pipeline load images, or '
                'put LoadFlow into it'
            )
        logits, mirrored = self.teacher_logits(*model_inputs(self.teacher, frames, flow)), None
        if self.pseudo_labels.two_views:
            inputs = model_inputs(self.teacher, frames.flip(-1), None if flow is None else flip_flow(flow))
            mirrored = self.teacher_logits(*inputs).flip(-1)
        label = self.pseudo_labels(logits, stack_field(samples, 'valid_pseudo_mask'), mirrored)
        return pseudo_labelled(frames, flow, [label])

    def long_tail(self, batch: dict, batch_size: int) -> LongTail:
        """The long-tail loader's batch as still images, which have no flow; see `group_long_tail`."""
        train_ids = [sample.metainfo['paste_class'] for sample in batch['data_samples']]
        clip = replace(self.labelled_clip(batch), flow=None)
        return group_long_tail(clip, train_ids, 0 if self.mixing is None else self.mixing.number_of_mixes, batch_size)

    @property
    def needs_target(self) -> bool:
        return self.ema is not None or self.adaptation_loss is not None or self.distillation is not None

    @property
    def needs_outputs(self) -> bool:
        """Whether a loss is made of features or logits, which not every segmentor of mmseg returns in training."""
        return self.feature_distance is not None or self.adaptation_loss is not None or self.keeps_logits

    @property
    def keeps_logits(self) -> bool:
        """Whether something learns from the logits of earlier passes: a discriminator."""
        trained = () if self.adaptation_loss is None else self.adaptation_loss.parameters()
        return any(parameter.requires_grad for parameter in trained)

    @property
    def long_tail_start(self) -> int:
        return 0 if self.mixing is None else self.mixing.start_iter

    @property
    def leaves_parameters_out(self) -> bool:
        student = unwrap(self.student)
        # Unlabelled images need no auxiliary decoder; images have no flow along which to fuse.
        without_auxiliary = self.adaptation_loss is not None and student.with_auxiliary_head
        # The distillation needs no decoder, and only the masked pass a mask token.
        part = without_auxiliary or self.distillation is not None or isinstance(self.masking, TokenMasking)
        return part or isinstance(student, FlowGuidedEncoderDecoder)

    @property
    def hooks_decoders(self) -> bool:
        return self.feature_mixing is not None

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Hand the metainfo of the source data set to the components that need it."""
        for component in (self.feature_distance, self.mixing):
            if component is not None:
                component.use_metainfo(metainfo)

    def load_networks(self, weights: Mapping[str, Tensor], origin: str | Path, skip: Sequence[str] = ()) -> list[str]:
        """As of any model; a loaded teacher is not overwritten by the first update."""
        loaded = super().load_networks(weights, origin, skip)
        if 'teacher' in loaded:
            self.ema.keep_teacher()
        return loaded

    def start_ranks(self) -> None:
        """New random streams, and no templates, as all processes need them or none."""
        self.generator.manual_seed(seed_of_rank(self.seed, get_rank(), self.iteration))
        if self.mixing is not None:
            self.mixing.clear_templates()

    def get_extra_state(self) -> dict:
        return {'iteration': self.iteration, 'generator': self.generator.get_state()}

    def set_extra_state(self, state: dict) -> None:
        self.iteration = int(state['iteration'])
        self.generator.set_state(state['generator'].cpu())
