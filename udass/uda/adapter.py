"""The training step that every method shares; a method is the set of components that a config puts into it.

Shapes: N batch, T frames (1 for images), C classes, H, W pixels.
"""
from collections.abc import Iterator

import torch
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.losses.pixel_weight import PixelWeightMixin
from udass.uda.clip import Clip
from udass.uda.ema import evaluate_with_batch_statistics
from udass.uda.mixing.long_tail import LongTail
from udass.uda.passes import Pass


@MODELS.register_module()
class DomainAdapter(BaseModel):
    """A student that learns from source labels and from its own teacher's pseudo-labels of the target.

    Children are named as in checkpoints: ``student.`` and ``teacher.`` are plain mmseg segmentors.

    Args:
        student: config of a segmentor (with a `PixelPreprocessor`).
        ema: config of the teacher's update; None trains on the source alone.
        pseudo_labels: config of the component that turns teacher scores into labels and weights; needed with ema.
        mixing: config of the component that makes mixed passes of source and target; needed with ema.
        photometric: config of the colour change of mixed and masked images; None leaves them as they are.
        masking: config of the block masking of the masked target pass; None leaves the pass out.
        teacher_batch_statistics: the teacher's batch norm uses the batch's statistics (the reference) instead of the
            running ones.
        eval_branch: which network validates and tests, ``student`` (the reference) or ``teacher``.
        seed: start of the step's own random stream (classes, colours, blocks), whose state is saved; None takes the
            seed that torch was given (the runner's).

    Raises:
        ValueError: components that need each other are not given together.
    """

    def __init__(self,
                 student: dict,
                 ema: dict | None = None,
                 pseudo_labels: dict | None = None,
                 mixing: dict | None = None,
                 photometric: dict | None = None,
                 masking: dict | None = None,
                 teacher_batch_statistics: bool = True,
                 eval_branch: str = 'student',
                 seed: int | None = None) -> None:
        super().__init__()
        if ema is not None and (pseudo_labels is None or mixing is None):
            raise ValueError('a teacher (ema) needs both pseudo_labels and mixing; for training on the source alone '
                             'leave all of them out')
        if ema is None and not (pseudo_labels is mixing is photometric is masking is None):
            raise ValueError('pseudo_labels, mixing, photometric and masking work on pseudo-labels of the target: give '
                             'ema too')
        self.student = MODELS.build(student)
        self.teacher = None if ema is None else MODELS.build(student).requires_grad_(False)
        self.ema = None if ema is None else MODELS.build(ema)
        self.pseudo_labels = None if pseudo_labels is None else MODELS.build(pseudo_labels)
        self.mixing = None if mixing is None else MODELS.build(mixing)
        self.photometric = None if photometric is None else MODELS.build(photometric)
        self.masking = None if masking is None else MODELS.build(masking)
        self.data_preprocessor = self.student.data_preprocessor
        self.teacher_batch_statistics = teacher_batch_statistics
        self.eval_branch = eval_branch
        self.generator = torch.Generator().manual_seed(torch.initial_seed() if seed is None else seed)
        self.iteration = 0
        self.keep_panels = False
        self.panels: dict[str, dict] = {}
        self._check_components()

    def _check_components(self) -> None:
        """Raises: ValueError: components that would silently do something else than they seem to."""
        if self.ema is None:
            return
        heads = [(name, head) for name, head in self.student.named_modules() if isinstance(head, BaseDecodeHead)]
        plain = [f'{name} ({type(head).__name__})' for name, head in heads if not isinstance(head, PixelWeightMixin)]
        if plain:
            raise ValueError(f'{", ".join(plain)} would ignore the weights of the pseudo-labels: use a head with '
                             'PixelWeightMixin, such as WeightedSegformerHead')
        if not self.teacher_batch_statistics and not self.ema.copy_buffers:
            raise ValueError('teacher_batch_statistics=False uses running statistics that nothing would ever update: '
                             'set ema.copy_buffers=True too')

    # ---------------------------------------------------------------- the step

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration: update the teacher, label the target, then every pass forward and backward, one step.

        Args:
            data: ``source``, ``target`` and, for the long-tail paste, ``long_tail`` batches of the loaders.

        Returns:
            Scalars for the log, on the device.
        """
        if getattr(optim_wrapper, '_accumulative_counts', 1) != 1:
            raise ValueError('accumulative_counts of the optimizer wrapper must be 1: an iteration has several '
                             'backward passes and one step of its own')
        log: dict[str, Tensor] = {}
        source = self.labelled_clip(data['source'])
        target = None
        if self.ema is not None:
            self.ema.update(self.teacher, unwrap(self.student))
            target = self.pseudo_labelled_clip(data['target'])
            log['confidence'] = target.confidence.mean()
        long_tail = self.long_tail(data['long_tail'], len(source)) if 'long_tail' in data else None
        panels = {}
        total = torch.zeros((), device=source.frames.device)
        for item in self.passes(source, target, long_tail):
            total += self.run_pass(item, optim_wrapper, log)
            if self.keep_panels:
                panels[item.name] = vars(item.clip)
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        if self.keep_panels and target is not None:
            panels['target'] = vars(target)
        self.panels = panels
        self.iteration += 1
        return {'loss': total, **log}

    def passes(self, source: Clip, target: Clip | None, long_tail: LongTail | None) -> Iterator[Pass]:
        """The recipe: source, mixed passes, masked pass. Each is made when the one before is done and freed."""
        yield Pass('source', source)
        if self.ema is None:
            return
        mixed = self.mixing(source, target, self.student_classes, self.iteration, self.generator, long_tail)
        change = self.photometric.draw(len(target), self.generator) if self.photometric is not None else None
        for item in mixed:
            frames = item.clip.frames if change is None else self.photometric.apply(item.clip.frames, change)
            yield Pass(item.name, item.clip.with_frames(frames), scale=item.scale)
        if self.masking is not None:
            yield self.masked_pass(target)

    def masked_pass(self, target: Clip) -> Pass:
        """The target with blocks masked out, against its pseudo-label (MIC, mode ``target``)."""
        frames = target.frames
        if self.photometric is not None:
            frames = self.photometric.apply(frames, self.photometric.draw(len(target), self.generator))
        blocks = self.masking.draw(len(target), target.size, self.generator)
        frames = self.masking.apply(frames, blocks, self.data_preprocessor.neutral)
        return Pass('masked', target.with_frames(frames))

    def run_pass(self, item: Pass, optim_wrapper: OptimWrapper, log: dict[str, Tensor]) -> Tensor:
        """Forward and backward of one pass; its losses go to the log under its name.

        Returns:
            The scaled loss without its graph.
        """
        frames = self.data_preprocessor.normalize(item.clip.frames[:, 0])
        with optim_wrapper.optim_context(self.student):
            losses = self.student(frames, item.data_samples(), mode='loss')
        loss, values = self.parse_losses(losses)
        optim_wrapper.backward(loss * item.scale)
        log.update({f'{item.name}.{key}': value.detach() for key, value in values.items() if key != 'loss'})
        return loss.detach() * item.scale

    # ------------------------------------------------------- loader batches to clips

    def labelled_clip(self, batch: dict) -> Clip:
        """A batch with true labels, every pixel of weight 1."""
        frames, samples = self.data_preprocessor.pixels(batch)
        labels = torch.stack([sample.gt_sem_seg.data for sample in samples])
        return Clip(frames=frames[:, None], labels=labels, weights=torch.ones_like(labels, dtype=frames.dtype))

    def pseudo_labelled_clip(self, batch: dict) -> Clip:
        """A target batch with the teacher's labels; ``valid_pseudo_mask`` of the samples marks trusted pixels."""
        frames, samples = self.data_preprocessor.pixels(batch)
        valid = None
        if 'valid_pseudo_mask' in samples[0]:
            valid = torch.stack([sample.valid_pseudo_mask.data for sample in samples])
        label = self.pseudo_labels(self.teacher_logits(frames), valid)
        return Clip(frames=frames[:, None], labels=label.labels[:, None], weights=label.weights[:, None],
                    confidence=label.confidence[:, None])

    def long_tail(self, batch: dict, batch_size: int) -> LongTail:
        """The long-tail loader's batch, ordered by draw, then mixed image, then sample.

        Args:
            batch: draws * mixed images * batch_size samples; their metainfo ``paste_class`` is the train id to paste.
            batch_size: samples of one mixed image.

        Raises:
            ValueError: the mixing takes no long-tail images, or another number of them.
        """
        if self.mixing.number_of_mixes == 0:
            raise ValueError(f'{type(self.mixing).__name__} pastes no long-tail images: leave train_cfg.long_tail out')
        names = [sample.metainfo['paste_class'] for sample in batch['data_samples']]
        per_draw = self.mixing.number_of_mixes * batch_size
        if len(names) % per_draw or any(len(set(names[i:i + per_draw])) > 1 for i in range(0, len(names), per_draw)):
            raise ValueError(f'{type(self.mixing).__name__} takes {per_draw} long-tail images of one class per draw '
                             f'({self.mixing.number_of_mixes} mixes x {batch_size}), got the classes {names}: set '
                             f'train_cfg.long_tail.mixes={self.mixing.number_of_mixes}')
        clip = self.labelled_clip(batch)
        classes = torch.tensor(names).to(clip.frames.device, non_blocking=True)
        starts = torch.arange(0, len(clip), batch_size).reshape(-1, self.mixing.number_of_mixes).tolist()
        return LongTail(
            clips=[[clip.map(lambda value, i=i: value[i:i + batch_size]) for i in row] for row in starts],
            classes=[[classes[i:i + batch_size] for i in row] for row in starts])

    @torch.no_grad()
    def teacher_logits(self, frames: Tensor) -> Tensor:
        """Teacher scores (N, C, H, W) of pixels (N, 3, H, W)."""
        meta = dict(img_shape=frames.shape[-2:], ori_shape=frames.shape[-2:], pad_shape=frames.shape[-2:])
        return self.teacher.encode_decode(self.data_preprocessor.normalize(frames), [meta] * len(frames))

    # --------------------------------------------------------------- module plumbing

    @property
    def student_classes(self) -> int:
        """Number of classes of the student."""
        return unwrap(self.student).num_classes

    def init_weights(self) -> None:
        """Initialise the student; the teacher starts as its copy."""
        student = unwrap(self.student)
        student.init_weights()
        if self.teacher is not None:
            self.teacher.load_state_dict(student.state_dict())

    def train(self, mode: bool = True) -> 'DomainAdapter':
        """As usual, but nothing random is ever active in the teacher."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
            if mode and self.teacher_batch_statistics:
                evaluate_with_batch_statistics(self.teacher)
        return self

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor') -> list | Tensor:
        """Scores (``tensor``) or predictions (``predict``) of the branch under evaluation for normalised images."""
        if mode == 'loss':
            raise ValueError('DomainAdapter trains with train_step; under DDP use '
                             "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')")
        branch = self.teacher if self.eval_branch == 'teacher' else self.student
        if branch is None:
            raise ValueError('eval_branch is teacher, but this method has no teacher (ema is None)')
        return unwrap(branch)(inputs, data_samples, mode=mode)

    def get_extra_state(self) -> dict:
        return {'iteration': self.iteration, 'generator': self.generator.get_state()}

    def set_extra_state(self, state: dict) -> None:
        self.iteration = int(state['iteration'])
        self.generator.set_state(state['generator'].cpu())


def unwrap(module: nn.Module) -> nn.Module:
    """The module itself, without DDP around it."""
    return module.module if is_model_wrapper(module) else module
