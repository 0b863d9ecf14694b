"""The training step that every method shares; a method is the set of components that a config puts into it.

Shapes: N batch, T frames (1 for images), C classes, H, W pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.precision import at_least_float32
from udass.models.ranks import rank, seed_of_rank
from udass.models.segmentors import FlowGuidedEncoderDecoder, HRDAEncoderDecoder, Outputs
from udass.models.windows import Box
from udass.uda.adaptation_losses import train_discriminator
from udass.uda.checks import check_adapter, check_optimizers
from udass.uda.clip import IGNORE, Clip
from udass.uda.ema import evaluate_with_batch_statistics
from udass.uda.inputs import flow_of, model_inputs, trusted_pixels
from udass.uda.mixing.long_tail import LongTail, group_long_tail
from udass.uda.networks import build_network, load_networks, unwrap, without_decoder
from udass.uda.passes import IterationState, Pass
from udass.uda.pseudo_labels import two_class_logits
from udass.uda.training_model import TrainingModel


@MODELS.register_module()
class DomainAdapter(TrainingModel):
    """A student that learns from source labels and, as its components say, from the unlabelled target.

    Children are named as in checkpoints: ``student.``, ``teacher.`` and ``imagenet.`` are plain mmseg segmentors (the
    last one without decoder), ``adaptation_loss.`` is a discriminator.

    Args:
        student: config of a segmentor (with a `PixelPreprocessor`).
        ema: config of the teacher's update; None has no teacher.
        pseudo_labels: config of the component that turns teacher scores into labels and weights; needed with ema.
        mixing: config of the component that makes mixed passes of source and target; None leaves them out.
        photometric: config of the colour change of mixed and masked images; None leaves them as they are.
        masking: config of the block masking of the masked pass. None leaves out the pass or term, here and below.
        feature_distance: config of the term that keeps features of things near to those of the ImageNet weights.
        adaptation_loss: config of a loss on unlabelled target images, built with the student's ``num_classes``.
        feature_mixing: config of the mixing of decoder features between mixed passes; None leaves it out.
        teacher_batch_statistics: the teacher's batch norm uses the batch's statistics (the reference) instead of the
            running ones.
        eval_branch: which network validates and tests, ``student`` (the reference) or ``teacher``.
        seed: start of the step's own random stream (classes, colours, blocks, detail crops), whose state is saved; None
            takes the seed that torch was given (the runner's). Each process has a stream of its own.

    Raises:
        ValueError: components that need each other are not given together, or do not fit each other.
    """

    # Whether a pass of its own, besides mixed and masked ones, uses pseudo-labels.
    labels_across_time = False
    joint_backward = False  # of all passes, so that gradients flow between them

    def __init__(
        self,
        student: dict,
        ema: dict | None = None,
        pseudo_labels: dict | None = None,
        mixing: dict | None = None,
        photometric: dict | None = None,
        masking: dict | None = None,
        feature_distance: dict | None = None,
        adaptation_loss: dict | None = None,
        feature_mixing: dict | None = None,
        teacher_batch_statistics: bool = True,
        eval_branch: str = 'student',
        seed: int | None = None,
    ) -> None:
        super().__init__()
        users = mixing is not None or masking is not None or self.labels_across_time
        if ema is not None and (pseudo_labels is None or not users):
            raise ValueError(
                'a teacher (ema) needs pseudo_labels, and mixing or masking to use them; for training '
                'without pseudo-labels leave all of them out'
            )
        if ema is None and not (pseudo_labels is mixing is photometric is masking is feature_mixing is None):
            raise ValueError(
                'pseudo_labels, mixing, photometric, masking and feature_mixing work on pseudo-labels of '
                'the target: give ema too'
            )
        self.student = build_network(student)
        self.teacher = None if ema is None else build_network(student).requires_grad_(False)
        self.imagenet = None if feature_distance is None else without_decoder(build_network(student))
        self.ema = _build(ema)
        self.pseudo_labels = _build(pseudo_labels)
        self.mixing = _build(mixing)
        self.photometric = _build(photometric)
        self.masking = _build(masking)
        self.feature_distance = _build(feature_distance)
        self.adaptation_loss = _build(adaptation_loss, num_classes=self.student.num_classes)
        self.feature_mixing = _build(feature_mixing)
        self.data_preprocessor = self.student.data_preprocessor
        self.teacher_batch_statistics = teacher_batch_statistics
        self.eval_branch = eval_branch
        self.seed = torch.initial_seed() if seed is None else seed
        self.generator = torch.Generator().manual_seed(seed_of_rank(self.seed, rank()))
        self.iteration = 0
        self.panels: dict[str, dict] = {}
        check_adapter(self)

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Hand what the source data set says of its classes to the components that need it; the loop calls this."""
        for component in (self.feature_distance, self.mixing):
            if hasattr(component, 'use_metainfo'):
                component.use_metainfo(metainfo)

    @property
    def needs_target(self) -> bool:
        """Whether the step looks at target images."""
        return self.ema is not None or self.adaptation_loss is not None

    @property
    def needs_outputs(self) -> bool:
        """Whether a loss is made of features or scores, which not every segmentor of mmseg shows in training."""
        return self.feature_distance is not None or self.adaptation_loss is not None

    @property
    def long_tail_start(self) -> int:
        """First iteration that may paste long-tail images."""
        return getattr(self.mixing, 'start_iter', 0)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, Tensor]:
        """One iteration: update the teacher, label the target, then every pass forward and backward, one step.

        Args:
            data: ``source``, ``target`` and, for the long-tail paste, ``long_tail`` batches of the loaders.
            optim_wrapper: of the student, or of ``student`` and ``adaptation_loss``.

        Returns:
            Scalars for the log, on the device.
        """
        optimizer, adaptation_optimizer = check_optimizers(self.adaptation_loss, optim_wrapper)
        log: dict[str, Tensor] = {}
        source, target = self.labelled_clip(data['source']), None
        if self.ema is not None:
            self.ema.update(self.teacher, unwrap(self.student))
            with optimizer.optim_context(self.teacher):  # its precision is the student's
                target = self.pseudo_labelled_clip(data['target'])
            log['confidence'] = target.confidence[:, 0].mean()
        elif self.adaptation_loss is not None:
            target = self.unlabelled_clip(data['target'])
        long_tail = self.long_tail(data['long_tail'], len(source)) if 'long_tail' in data else None
        panels, scores, names, kept = {}, {}, set(), IterationState()
        total = torch.zeros((), device=source.frames.device)
        for item in self.passes(source, target, long_tail):
            if item.name in names:
                raise ValueError(
                    f'two passes of one iteration are named {item.name}: their losses would overwrite '
                    'each other in the log'
                )
            names.add(item.name)
            loss, logits = self.run_pass(item, optimizer, log, kept)
            total = total + loss
            if adaptation_optimizer is not None:
                scores[item.name] = logits
            if self.keep_panels:
                panels[item.name] = vars(item.clip)
        if self.joint_backward:
            optimizer.backward(total)
        optimizer.step()
        optimizer.zero_grad()
        if adaptation_optimizer is not None:
            logits = self._at_image_size(scores['source'], source), self._at_image_size(scores['target'], target)
            log.update(train_discriminator(self.adaptation_loss, *logits, adaptation_optimizer, optimizer))
        if self.keep_panels and target is not None:
            panels['target'] = vars(target)
        self.panels = panels
        self.iteration += 1
        return {'loss': total.detach(), **log}

    def passes(self, source: Clip, target: Clip | None, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, mixed, masked, unlabelled pass. Each is made when the one before is done and freed."""
        yield Pass('source', source, box=self.detail_box(source), feature_distance=self.feature_distance is not None)
        if self.ema is not None:
            if self.mixing is not None:
                yield from self.mixed_passes(source, target, long_tail)
            if self.masking is not None:
                yield self.masked_pass(source, target)
        if self.adaptation_loss is not None:
            yield Pass('target', target, labelled=False)

    def mixed_passes(
        self, source: Clip, target: Clip, long_tail: LongTail | None, template: Clip | None = None
    ) -> Iterator[Pass]:
        """What the mixing makes of source and target, in changed colours.

        Args:
            template: the target as the next iteration is to mix it; None takes it as it is mixed now.
        """
        kept = {} if template is None else {'template': template}
        mixed = self.mixing(source, target, self.student_classes, self.iteration, self.generator, long_tail, **kept)
        # The passes share the decision, but each image has a draw of its own, as in the reference.
        decision = self.photometric.decide(self.generator) if self.photometric is not None else None
        # Passes that mix decoder features must look at the same detail.
        shared = self.detail_box(target) if self.feature_mixing is not None else None
        for item in mixed:
            clip = item.clip
            if self.photometric is not None:
                changes = [self.photometric.draw(1, self.generator, decision)[0] for _ in range(len(clip))]
                clip = clip.with_frames(self.photometric.apply(clip.frames, changes))
            yield replace(item, clip=clip, box=shared or self.detail_box(clip))

    def masked_pass(self, source: Clip, target: Clip) -> Pass:
        """Images with blocks masked out, against their labels (MIC); see `BlockMasking` for which."""
        clip = self.masking.select(source, target)
        frames = clip.frames
        if self.photometric is not None and self.masking.mode == 'target':
            frames = self.photometric.apply(frames, self.photometric.draw(len(clip), self.generator))
        blocks = self.masking.draw(len(clip), clip.size, self.generator)
        frames = self.masking.apply(frames, blocks, self.data_preprocessor.neutral)
        return Pass('masked', clip.with_frames(frames), box=self.detail_box(clip))

    def run_pass(
        self, item: Pass, optimizer: OptimWrapper, log: dict[str, Tensor], kept: IterationState
    ) -> tuple[Tensor, Tensor | None]:
        """Forward and backward of one pass; its losses go to the log under its name.

        Args:
            kept: what passes of this iteration hand on.

        Returns:
            The loss, its cross-entropy scaled, and the scores (N, C, h, w), if the student gives any, without graph.
        """
        frames = self.data_preprocessor.normalize(item.clip.frames)
        with optimizer.optim_context(self.student), self._mixed_features(item, kept.features):
            if item.labelled:
                outputs = self._labelled_losses(frames, item)
            else:
                shown, options = model_inputs(unwrap(self.student), frames, item.clip.flow)
                scores = self._at_image_size(self.student(shown, mode='tensor', **options), item.clip)
                outputs = Outputs({}, [], scores)
            further = self.extra_losses(item, frames, outputs, kept)
        loss, values = self.parse_losses({**outputs.losses, **further})
        if item.scale != 1:
            # Only the cross-entropy is scaled.
            loss = loss + (item.scale - 1) * self.parse_losses(outputs.losses)[0]
        if not self.joint_backward:
            optimizer.backward(loss)
            loss = loss.detach()
        log.update({f'{item.name}.{key}': value.detach() for key, value in values.items() if key != 'loss'})
        return loss, None if outputs.logits is None else outputs.logits.detach()

    def extra_losses(self, item: Pass, frames: Tensor, outputs: Outputs, kept: IterationState) -> dict[str, Tensor]:
        """What a pass is trained on besides its cross-entropy, for normalised frames (N, T, 3, H, W)."""
        if not item.labelled:
            return unwrap(self.adaptation_loss).target_losses(outputs.logits)
        if not item.feature_distance:
            return {}
        with torch.inference_mode():
            anchors = self.imagenet.extract_feat(frames[:, 0])[-1]
        return {'loss_feature_distance': self.feature_distance(outputs.features[-1], anchors, item.clip.labels[:, 0])}

    def _labelled_losses(self, frames: Tensor, item: Pass) -> Outputs:
        network = unwrap(self.student)
        frames, options = model_inputs(network, frames, item.clip.flow)
        if options:
            options.update(no_flow=item.clip.no_flow, auxiliary=item.auxiliary)
        if item.extra is not None:
            options['extra_clip'] = self.data_preprocessor.normalize(item.extra.frames), item.extra.flow
        if item.box is not None:
            options['crop_box'] = item.box
        samples = item.data_samples(weighted=self.ema is not None)  # without pseudo-labels all weights are 1
        if not self.needs_outputs:  # any segmentor of mmseg can do this
            return Outputs(self.student(frames, samples, mode='loss', **options), [], None)
        return self.student(frames, samples, mode='outputs', **options)

    def _at_image_size(self, scores: Tensor, clip: Clip) -> Tensor:
        return resize(
            two_class_logits(scores), size=clip.size, mode='bilinear', align_corners=unwrap(self.student).align_corners
        )

    def _mixed_features(self, item: Pass, features: list[Tensor]) -> AbstractContextManager:
        """The first pass with pasted content leaves its decoder features, the next one takes them."""
        if item.pasted is None or self.feature_mixing is None or self.iteration < self.feature_mixing.start_iter:
            return nullcontext()
        network = unwrap(self.student)
        if not features:
            return self.feature_mixing.keep(network, features, with_graph=self.joint_backward)
        # One mask per call of the fusion layer: context and detail of HRDA, else frame t alone, which comes first.
        masks = [item.pasted[:, :1]]
        if item.box is not None:
            masks = network.views(masks[0], item.box)
        return self.feature_mixing.mix(network, features, masks)

    def detail_box(self, clip: Clip) -> Box | None:
        """A drawn detail crop for networks that look at one (HRDA), None for others."""
        network = unwrap(self.student)
        return network.draw_crop_box(clip.size, self.generator) if isinstance(network, HRDAEncoderDecoder) else None

    def labelled_clip(self, batch: dict) -> Clip:
        """A batch with true labels, every pixel of weight 1."""
        frames, samples = self.data_preprocessor.pixels(batch)
        labels = torch.stack([sample.gt_sem_seg.data for sample in samples])
        return Clip(
            frames=frames, labels=labels, weights=torch.ones_like(labels, dtype=frames.dtype), flow=flow_of(samples)
        )

    def unlabelled_clip(self, batch: dict) -> Clip:
        """A batch without labels, every pixel ignored."""
        frames, samples = self.data_preprocessor.pixels(batch)
        weights = torch.zeros_like(frames[:, :, 0])
        return Clip(
            frames=frames,
            labels=torch.full_like(weights, IGNORE, dtype=torch.long),
            weights=weights,
            flow=flow_of(samples),
        )

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with the teacher's labels of frame 0; clips must have flow (ValueError)."""
        frames, samples = self.data_preprocessor.pixels(batch)
        flow = flow_of(samples)
        if frames.shape[1] > 1 and flow is None:
            raise ValueError(
                f'the target gave clips of {frames.shape[1]} frames without flow: let its pipeline load '
                'images (LoadImage ... PackUDAInputs), or put LoadFlow into it'
            )
        shown, options = model_inputs(self.teacher, frames, flow)
        label = self.pseudo_labels(self.teacher_logits(shown, options.get('flow')), trusted_pixels(samples))
        return label.clip(frames, flow)

    def long_tail(self, batch: dict, batch_size: int) -> LongTail:
        """The long-tail loader's batch, see `group_long_tail`."""
        names = [sample.metainfo['paste_class'] for sample in batch['data_samples']]
        # Stills, also where they come as clips: they take no part in the flow.
        clip = replace(self.labelled_clip(batch), flow=None)
        return group_long_tail(clip, names, getattr(self.mixing, 'number_of_mixes', 0), batch_size)

    @torch.inference_mode()
    def teacher_logits(self, frames: Tensor, flow: Tensor | None = None) -> Tensor:
        """Teacher logits (N, C, H, W) of pixels (N, 3, H, W), or of frame 0 of clips (N, T, 3, H, W) with their flow
        (N, T-1, 2, H, W); an inference tensor: autograd may save only a clone."""
        meta = dict(img_shape=frames.shape[-2:], ori_shape=frames.shape[-2:], pad_shape=frames.shape[-2:])
        options = {} if flow is None else dict(flow=flow)
        frames = self.data_preprocessor.normalize(frames)
        return at_least_float32(self.teacher.encode_decode(frames, [meta] * len(frames), **options))

    @property
    def student_classes(self) -> int:
        """Number of classes of the student."""
        return unwrap(self.student).num_classes

    def init_weights(self) -> None:
        """Initialise the student; the teacher starts as its copy, the ImageNet network with its backbone."""
        student = unwrap(self.student)
        student.init_weights()
        if self.teacher is not None:
            self.teacher.load_state_dict(student.state_dict())
        if self.imagenet is not None:
            self.imagenet.backbone.load_state_dict(student.backbone.state_dict())

    def load_networks(self, weights: Mapping[str, Tensor], origin: str | Path, skip: Sequence[str] = ()) -> list[str]:
        """Start from the networks of a checkpoint, see `load_networks` of `udass.uda.networks`; counters and templates
        stay as they are, and a teacher that was loaded is not overwritten."""
        networks = dict(student=unwrap(self.student), teacher=self.teacher, imagenet=self.imagenet)
        loaded = load_networks(networks, weights, origin, skip)
        if 'teacher' in loaded:
            self.ema.keep_teacher()
        return loaded

    @property
    def leaves_parameters_out(self) -> bool:
        """Whether some pass of a step does without some of the student's parameters (DDP must be told)."""
        student = unwrap(self.student)
        # Unlabelled images need no auxiliary decoder; images have no flow along which to fuse.
        without_auxiliary = self.adaptation_loss is not None and student.with_auxiliary_head
        return without_auxiliary or isinstance(student, FlowGuidedEncoderDecoder)

    @property
    def hooks_decoders(self) -> bool:
        """Whether decoder features are mixed."""
        return self.feature_mixing is not None

    def start_ranks(self) -> None:
        """Go on with another number of processes: new random streams, and no templates (all need them or none)."""
        self.generator.manual_seed(seed_of_rank(self.seed, rank(), self.iteration))
        if hasattr(self.mixing, 'bank'):
            self.mixing.bank.clear()

    def train(self, mode: bool = True) -> 'DomainAdapter':
        """As usual, but nothing random is ever active in the teacher, and the ImageNet network always evaluates."""
        super().train(mode)
        if self.imagenet is not None:
            self.imagenet.eval()
        if self.teacher is not None:
            self.teacher.eval()
            if mode and self.teacher_batch_statistics:
                evaluate_with_batch_statistics(self.teacher)
        return self

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor') -> list | Tensor:
        """Scores (``tensor``) or predictions (``predict``) of the branch under evaluation for normalised images
        (N, 3, H, W), or for frame 0 of clips (N, T, 3, H, W), whose flow the samples may carry."""
        if mode == 'loss':
            raise ValueError(
                'DomainAdapter trains with train_step; under DDP use '
                "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')"
            )
        branch = unwrap(self.teacher if self.eval_branch == 'teacher' else self.student)
        options = {}
        if inputs.dim() == 5:
            inputs, options = model_inputs(branch, inputs, flow_of(data_samples or []))
        return branch(inputs, data_samples, mode=mode, **options)

    def get_extra_state(self) -> dict:
        return {'iteration': self.iteration, 'generator': self.generator.get_state()}

    def set_extra_state(self, state: dict) -> None:
        self.iteration = int(state['iteration'])
        self.generator.set_state(state['generator'].cpu())


def _build(config: dict | None, **default_args: object) -> nn.Module | None:
    return None if config is None else MODELS.build(config, default_args=default_args)
