"""Base classes of models that are trained: what loop, runner and hooks use of them, and their networks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from udass.io.labels import IGNORE_INDEX
from udass.models.precision import at_least_float32
from udass.uda.clip import Clip, stack_field
from udass.uda.ema import evaluate_with_batch_statistics
from udass.uda.networks import (
    build_component,
    build_network,
    load_networks,
    model_inputs,
    share_frozen,
    unwrap,
    without_decoder,
)


class TrainingModel(BaseModel):
    """A model of several networks with a ``train_step`` of its own, for `udass.engine.UDATrainLoop`.

    A subclass has the networks ``student`` and ``teacher`` (None if the method has none) and overrides what differs
    from the defaults below.
    """

    student: nn.Module
    teacher: nn.Module | None
    eval_branch = 'student'
    """The network that validates and tests, ``student`` or ``teacher``."""
    needs_target = False
    """Whether the training step uses target images."""
    long_tail_start = 0
    """First iteration whose data has a ``long_tail`` batch."""
    leaves_parameters_out = False
    """Whether some pass leaves parameters of the student without gradient."""
    hooks_decoders = False
    """Whether the training step puts hooks into decoders, which compiled code does not call."""
    accumulative_counts = 1
    """Equal parts of the batch that go through the networks one after the other before one step; the loop sets it."""
    pass_hooks: list[Callable[[str, Clip], None]]
    """Called with the name and the clip of each pass of a step, and with ``target``, before the pass is made."""

    def __new__(cls, *args: object, **kwargs: object) -> 'TrainingModel':
        # mmseg.apis.init_model adds these two to the arguments of any model.
        if {'pretrained', 'train_cfg'} <= set(kwargs):
            raise ValueError(
                f'mmseg.apis.init_model takes bare segmentors, and {cls.__name__} holds those of a training: use '
                'udass.inference.Segmenter(CHECKPOINT), or give init_model the config that '
                'udass.inference.config_for_mmseg makes and the file that udass convert writes'
            )
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__()
        self.pass_hooks = []

    def call_pass_hooks(self, name: str, clip: Clip) -> None:
        """Call the hooks; a training step does so for each of its passes."""
        for hook in self.pass_hooks:
            hook(name, clip)

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Take what the source data set says of its classes. The loop calls this once, before the training."""

    def start_ranks(self) -> None:
        """Go on with another number of processes than the checkpoint was written with."""

    def load_networks(self, weights: Mapping[str, Tensor], origin: str | Path, skip: Sequence[str] = ()) -> list[str]:
        """Start from the networks of a checkpoint; arguments and result as of `udass.uda.networks.load_networks`."""
        return load_networks(dict(student=unwrap(self.student), teacher=self.teacher), weights, origin, skip)


class TeacherStudent(TrainingModel):
    """The networks of a training, segmentors built from one config: the student, its teacher (an average of the
    student), and the ImageNet network (the student's start without decoder); and a distillation of features.

    Args:
        student: config of a segmentor.
        teacher, imagenet: whether there are such networks.
        distillation: config of a `FeatureDistillation`, or None.
    """

    student: Any
    teacher: Any
    imagenet: Any
    distillation: Any
    data_preprocessor: Any
    teacher_batch_statistics = True  # the teacher's batch norm uses the statistics of the batch, not the running ones

    def __init__(self, student: dict, teacher: bool, imagenet: bool, distillation: dict | None = None) -> None:
        super().__init__()
        self.student = build_network(student)
        self.teacher = build_network(student).requires_grad_(False) if teacher else None
        self.imagenet = without_decoder(build_network(student)) if imagenet else None
        for network in (self.teacher, self.imagenet):
            if network is not None:
                share_frozen(self.student, network)
        channels = getattr(self.student.backbone, 'channels', None)
        self.distillation = build_component(distillation, **({} if channels is None else {'in_channels': channels[-1]}))
        self.data_preprocessor = self.student.data_preprocessor

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
        if self.distillation is not None:
            self.distillation.init_weights()

    def load_networks(self, weights: Mapping[str, Tensor], origin: str | Path, skip: Sequence[str] = ()) -> list[str]:
        """Start from the networks of a checkpoint, the ImageNet network included; see `TrainingModel`."""
        networks = dict(student=unwrap(self.student), teacher=self.teacher, imagenet=self.imagenet)
        return load_networks(networks, weights, origin, skip)

    def train(self, mode: bool = True) -> 'TeacherStudent':
        """As usual, but nothing random is ever active in the teacher, and the ImageNet network always evaluates."""
        super().train(mode)
        if self.imagenet is not None:
            self.imagenet.eval()
        if self.teacher is not None:
            self.teacher.eval()
            if mode and self.teacher_batch_statistics:
                evaluate_with_batch_statistics(self.teacher)
        return self

    def labelled_clip(self, batch: dict) -> Clip:
        """A batch with true labels, every pixel of weight 1."""
        frames, samples = self.data_preprocessor.pixels(batch)
        labels = stack_field(samples, 'gt_sem_seg')
        return Clip(frames, labels, torch.ones_like(labels, dtype=frames.dtype), flow=stack_field(samples, 'flow'))

    def unlabelled_clip(self, batch: dict) -> Clip:
        """A batch without labels, every pixel ignored."""
        frames, samples = self.data_preprocessor.pixels(batch)
        weights = torch.zeros_like(frames[:, :, 0])
        labels = torch.full_like(weights, IGNORE_INDEX, dtype=torch.long)
        return Clip(frames, labels, weights, flow=stack_field(samples, 'flow'))

    @torch.inference_mode()
    def teacher_logits(self, frames: Tensor, options: Mapping[str, Tensor] | None = None) -> Tensor:
        """Teacher logits (N, C, H, W) of pixels (N, 3, H, W), or of frame 0 of clips (N, T, 3, H, W) with their flow in
        the options; an inference tensor, of which autograd may save only a clone."""
        meta = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), frames.shape[-2:])
        options = options or {}
        batched = (self.data_preprocessor.normalize(frames), *options.values())
        logits = []
        for images, *values in zip(*(value.chunk(self.accumulative_counts) for value in batched), strict=True):
            arguments = dict(zip(options, values, strict=True))
            logits.append(at_least_float32(self.teacher.encode_decode(images, [meta] * len(images), **arguments)))
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor') -> list | Tensor:
        """Logits (``tensor``) or predictions (``predict``) of the branch under evaluation for normalised images
        (N, 3, H, W), or for frame 0 of clips (N, T, 3, H, W), whose flow is a field of the samples."""
        if mode == 'loss':
            raise ValueError("train with train_step; under DDP in a wrapper of type='SeparateDataParallel'")
        branch = unwrap(self.teacher if self.eval_branch == 'teacher' else self.student)
        options: dict[str, Any] = {}
        if inputs.dim() == 5:
            inputs, options = model_inputs(branch, inputs, stack_field(data_samples or [], 'flow'))
        return branch(inputs, data_samples, mode=mode, **options)
