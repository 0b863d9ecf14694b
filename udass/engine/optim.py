"""Optimizers, schedules and precision: how networks are computed and updated. Weights stay in float32."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict, PolyLR, build_optim_wrapper
from mmseg.models import BaseSegmentor
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, PARAM_SCHEDULERS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from udass.models.backbones import DINOv2, TimmViT
from udass.uda.checks import check_accumulation
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel

_TYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ChildOptimWrapperConstructor:
    """One optimizer wrapper per child of the model::

        optim_wrapper = dict(
            constructor='ChildOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(...), paramwise_cfg=dict(...)),
            adaptation_loss=dict(type='OptimWrapper', optimizer=dict(...)))

    ``param_scheduler`` is then a dict of lists under the same names. The parameters of an `AdversarialAlignment` with
    ``train_with_student`` are in the student's optimizer, too.

    Args:
        optim_wrapper_cfg: child -> config of its optimizer wrapper.
        paramwise_cfg: belongs to each child; here it must be None.

    Raises:
        ValueError: a name is no child of the model, its value no config, or a child with parameters to train has no
            optimizer; or ``train_with_student`` in fp16, where each wrapper scales gradients by itself.
    """

    def __init__(self, optim_wrapper_cfg: Mapping, paramwise_cfg: None = None) -> None:
        if paramwise_cfg is not None:
            raise ValueError(
                'paramwise_cfg belongs in the optimizer wrapper of each child, e.g. optim_wrapper.student.paramwise_cfg'
            )
        for name, config in optim_wrapper_cfg.items():
            if not isinstance(config, Mapping):
                raise ValueError(
                    f'optim_wrapper.{name} is {config!r}, but this method has an optimizer per part of the model: set '
                    f'optim_wrapper.<part>.{name}'
                )
        self._configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        children = dict(unwrap(model).named_children())
        trained = {name for name, child in children.items() if any(value.requires_grad for value in child.parameters())}
        if set(self._configs) != trained:
            names = [name for name in children if name in trained]
            raise ValueError(
                f'optim_wrapper has optimizers for {", ".join(self._configs)}; the parts of {type(model).__name__} to '
                f'be trained are {", ".join(names)}: name each of these once'
            )
        wrappers = {name: build_optim_wrapper(children[name], config) for name, config in self._configs.items()}
        adaptation_loss = unwrap(children.get('adaptation_loss'))
        if getattr(adaptation_loss, 'train_with_student', False):
            scalers = [wrapper.loss_scaler for wrapper in wrappers.values() if hasattr(wrapper, 'loss_scaler')]
            if any(scaler.is_enabled() for scaler in scalers):
                raise ValueError(
                    'adaptation_loss.train_with_student lets two optimizers step on the same gradients, which fp16 '
                    'scales for one of them alone: train in bf16 or single precision'
                )
            wrappers['student'].optimizer.add_param_group({'params': list(adaptation_loss.parameters())})
        return OptimWrapperDict(**wrappers)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, with learning rates that fall from each block of a ViT to the one below it::

        optim_wrapper = dict(
            constructor='LayerDecayConstructor', optimizer=dict(...), paramwise_cfg=dict(lr_mult=0.1, decay_rate=0.9))

    The rate of the last of D blocks is ``lr_mult`` times that of the optimizer, and so is that of the final norm. A
    block has ``decay_rate`` times the rate of the block after it. What comes before the blocks (patch embedding, class
    token, positions, mask token) has the rate of a block before the first, ``lr_mult * decay_rate ** D``. Parameters
    outside of the ViTs, an adapter around one included, are left alone. The factors multiply those of other options
    (``custom_keys``, ``norm_decay_mult``, ...).

    mmseg's ``LearningRateDecayOptimizerConstructor`` only knows ConvNeXt, BEiT and MAE, and exempts vectors from decay.

    Source: VFM-UDA++ (Englert and Dubbelman 2025, arXiv 2503.10685), ``configure_optimizers`` of the published code.

    Raises:
        ValueError: ``lr_mult`` or ``decay_rate`` is missing or no positive factor, or the model has no `TimmViT`,
            `DINOv2` or `ViTAdapter`.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: int | float | None = None
    ) -> None:
        """As mmengine's, which calls it for each child of the model, too."""
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return
        lr_mult, decay_rate = (self.paramwise_cfg.get(name) for name in ('lr_mult', 'decay_rate'))
        if not (
            isinstance(lr_mult, float | int) and isinstance(decay_rate, float | int) and min(lr_mult, decay_rate) > 0
        ):
            raise ValueError(
                'LayerDecayConstructor: paramwise_cfg must have the factors lr_mult (of the last block) and decay_rate '
                f'(from each block to the one before it), both larger than 0; got {lr_mult!r} and {decay_rate!r}'
            )
        backbones = [child for child in module.modules() if isinstance(child, TimmViT | DINOv2)]
        if not backbones:
            raise ValueError(
                f'LayerDecayConstructor: {type(module).__name__} has no TimmViT, DINOv2 or ViTAdapter. For other '
                'backbones set paramwise_cfg.custom_keys and leave optim_wrapper.constructor out'
            )
        factors = {value: lr_mult * decay_rate**below for one in backbones for value, below in _distances(one)}
        for group in params:
            group['lr'] = group.get('lr', self.base_lr) * factors.get(group['params'][0], 1)


def _distances(backbone: TimmViT | DINOv2) -> Iterator[tuple[nn.Parameter, int]]:
    """Each parameter of a ViT, and how many blocks it lies below the last one."""
    depth = len(backbone.net.blocks)
    for name, parameter in backbone.named_parameters():
        block = re.match(r'net\.blocks\.(\d+)\.', name)
        if block is not None:
            yield parameter, depth - 1 - int(block[1])
        elif name.startswith(('net.', 'mask_token')):
            yield parameter, 0 if name.startswith('net.norm.') else depth


@PARAM_SCHEDULERS.register_module()
class GroupPolyLR(PolyLR):
    """mmengine's ``PolyLR``, which leaves parameter groups with ``constant_lr=True`` at their rate.

    A group gets the entry from ``optim_wrapper.paramwise_cfg.custom_keys``. Arguments as of ``PolyLR``.

    Source: ``adjust_learning_rate`` of AdaptSegNet and ADVENT (advent/utils/func.py), which sets the rates of the first
    two groups of an optimizer only.
    """

    def _get_value(self) -> list[float]:
        return [
            group[self.param_name] if group.get('constant_lr', False) else value
            for group, value in zip(self.optimizer.param_groups, super()._get_value(), strict=True)
        ]


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(OptimWrapper):
    """Forward passes in half precision where that is safe, on a GPU or a CPU; for fp16 with a scaled loss.

    mmengine's ``AmpOptimWrapper`` refuses to be built without a GPU. ``amp = 'bf16'`` in a config sets this wrapper for
    every optimizer. The scale of the loss is saved and resumed with the optimizer.

    Args:
        optimizer: what makes the step.
        dtype: ``bf16`` (range of single precision, so that nothing needs scaling) or ``fp16``.
        initial_scale: factor of the loss at the start, for fp16; it follows what the gradients allow.
        clip_grad: as in mmengine; the gradients are unscaled before.

    Raises:
        ValueError: an unknown type.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        dtype: str = 'bf16',
        initial_scale: float = 2.0**16,
        clip_grad: dict | None = None,
    ) -> None:
        super().__init__(optimizer, clip_grad=clip_grad)
        check_type(dtype)
        self.dtype = _TYPES[dtype]
        self.device = torch.device(get_device()).type
        # A disabled scaler changes nothing.
        self.loss_scaler = torch.amp.GradScaler(self.device, init_scale=initial_scale, enabled=dtype == 'fp16')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Inside, ``model`` is computed in mixed precision."""
        with super().optim_context(model), torch.autocast(self.device, self.dtype):
            yield

    def backward(self, loss: Tensor, **kwargs: object) -> None:
        """Adds the gradients of a loss, times the scale."""
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: object) -> None:
        """One step with unscaled gradients; none if they are not finite, which also lowers the scale."""
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def state_dict(self) -> dict:
        """State of the optimizer, and of the scaler under ``loss_scaler``."""
        return {**super().state_dict(), 'loss_scaler': self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Resumes both; a state of single precision or bf16 has no scale, then the own one stays."""
        scaler = state_dict.pop('loss_scaler', None)
        if scaler and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)


def wrappers_by_name(optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, OptimWrapper]:
    """The optimizer wrapper of each trained part of the model; a single one is the student's."""
    return dict(optim_wrapper.items()) if isinstance(optim_wrapper, OptimWrapperDict) else {'student': optim_wrapper}


def merge_groups(optim_wrapper: OptimWrapper | OptimWrapperDict, model: nn.Module) -> OptimWrapper | OptimWrapperDict:
    """Joins the parameter groups of each optimizer that have equal options, before schedules are built; returns the
    wrapper.

    mmengine makes a group of each parameter, and an optimizer takes a step per group. Each group gets the names of its
    parameters in the model under ``param_names``, as in torch, by which a checkpoint finds them in other groups.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    for wrapper in wrappers_by_name(optim_wrapper).values():
        merged: list[tuple[dict, list[nn.Parameter]]] = []
        for group in wrapper.optimizer.param_groups:
            options = {key: value for key, value in group.items() if key != 'params'}
            same = next((parameters for other, parameters in merged if other == options), None)
            if same is None:
                merged.append((options, same := []))
            same += group['params']
        wrapper.optimizer.param_groups = [
            {'params': parameters, **options, 'param_names': [names[one] for one in parameters]}
            for options, parameters in merged
        ]
    return optim_wrapper


def scale_learning_rates(optim_wrapper: OptimWrapper | OptimWrapperDict, total_batch: int, options: Mapping) -> None:
    """Adapts the learning rates of a config to the batch that one step learns from, before schedules are built.

    Args:
        total_batch: source images per step, over all processes.
        options: ``auto_scale_lr`` of a config: ``base_batch_size``, for which its rates are meant, and ``rule``: with
            ``linear`` (the default, mmengine's) rates are multiplied by total_batch / base_batch_size, with ``sqrt`` by
            the square root of it. ValueError for others.
    """
    base, rule = options.get('base_batch_size'), options.get('rule', 'linear')
    if not isinstance(base, int) or base < 1 or rule not in ('linear', 'sqrt'):
        raise ValueError(
            'auto_scale_lr takes base_batch_size, a number of images, and rule, which is linear or sqrt; got '
            f'{dict(options)}'
        )
    factor = (total_batch / base) ** (0.5 if rule == 'sqrt' else 1)
    for wrapper in wrappers_by_name(optim_wrapper).values():
        for group in wrapper.param_groups:
            group['lr'] *= factor
    print_log(
        f'Learning rates are those for a batch of {base}, times {factor:.6g} for {total_batch} ({rule})', 'current'
    )


@torch.no_grad()
def match_memory_layout(optim_wrapper: OptimWrapper | OptimWrapperDict) -> None:
    """Stores each loaded moment with the strides of its parameter: a fused step walks through both side by side, and
    ``channels_last`` may have been switched between saving and resuming."""
    for wrapper in wrappers_by_name(optim_wrapper).values():
        for parameter, state in wrapper.optimizer.state.items():
            for name, value in state.items():
                same_shape = isinstance(value, Tensor) and value.shape == parameter.shape
                if same_shape and value.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def accumulative_counts(optim_wrapper: OptimWrapper | Mapping) -> int:
    """``accumulative_counts`` of an optimizer wrapper's config: parts of the batch, whose gradients make one step;
    ValueError if it is no number of parts."""
    counts = optim_wrapper.get('accumulative_counts', 1) if isinstance(optim_wrapper, Mapping) else 1
    if not isinstance(counts, int) or counts < 1:
        raise ValueError(f'optim_wrapper.accumulative_counts must be a number of batches, at least 1; got {counts!r}')
    return counts


def check_type(dtype: str) -> None:
    """Raises ValueError for anything but ``bf16`` and ``fp16``."""
    if dtype not in _TYPES:
        raise ValueError(f"mixed precision is 'bf16' or 'fp16'; got {dtype!r}")


def check_wrappers(optim_wrapper: Mapping) -> None:
    """Raises ValueError if a config has mmengine's ``AmpOptimWrapper``, which needs a GPU, where there is none."""
    wrappers = [optim_wrapper] if 'optimizer' in optim_wrapper else list(optim_wrapper.values())
    kinds = [wrapper.get('type') for wrapper in wrappers if isinstance(wrapper, Mapping)]
    if 'AmpOptimWrapper' in kinds and not torch.cuda.is_available():
        raise ValueError(
            "optim_wrapper.type='AmpOptimWrapper' works on GPUs only, and there is none: set "
            "optim_wrapper.type='OptimWrapper', and amp='bf16' for mixed precision on a CPU"
        )


def with_mixed_precision(optim_wrapper: Mapping, dtype: str) -> dict:
    """The config of an optimizer wrapper, or of one per part of the model, for mixed precision; ValueError for an
    unknown type, a wrapper of another kind, or one that is to accumulate gradients by itself."""
    check_type(dtype)
    if 'optimizer' not in optim_wrapper:
        return {
            name: with_mixed_precision(value, dtype) if isinstance(value, Mapping) else value
            for name, value in optim_wrapper.items()
        }
    kind = optim_wrapper.get('type', 'OptimWrapper')
    if kind != 'OptimWrapper':
        raise ValueError(f'amp={dtype!r} sets the optimizer wrapper, but optim_wrapper.type is {kind!r}: leave one out')
    result = {**optim_wrapper, 'type': 'MixedPrecisionOptimWrapper', 'dtype': dtype}
    check_accumulation(result.pop('accumulative_counts', 1))
    return result


def compile_networks(model: nn.Module, options: Mapping) -> list[str]:
    """Compiles backbone, neck and decoders of every network of a model, in place; names in state dicts stay.

    The training step around them is Python that decides, and is not compiled. ``options`` are keyword arguments of
    ``torch.compile``; the names of what was compiled are returned.
    """
    parts = ['backbone', 'neck']
    if not (isinstance(model, TrainingModel) and model.hooks_decoders):
        parts += ['decode_head', 'auxiliary_head']
    compiled = []
    for name, network in model.named_modules():
        for part in parts if isinstance(network, BaseSegmentor) else ():
            module = getattr(network, part, None)
            if isinstance(module, nn.Module) and not isinstance(module, nn.ModuleList):
                # `forward`, not the call: heads of mmseg are also entered through methods of theirs.
                module.forward = torch.compile(module.forward, **options)
                compiled.append(f'{name}.{part}'.replace('.module.', '.'))
    return compiled


def prepare_networks(model: nn.Module, config: Mapping) -> None:
    """Recomputation without reentry (`checkpoint_without_reentry`), and the switches ``channels_last`` and ``tf32``.

    ``tf32=True`` lets products of matrices and convolutions in float32 round their factors to TensorFloat-32 on GPUs
    that have it, False neither of them; without it torch decides (convolutions only).
    """
    checkpoint_without_reentry(model)
    if config.get('channels_last'):
        # The layout that tensor cores want; images follow the weights.
        model.to(memory_format=torch.channels_last)
    if config.get('tf32') is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config['tf32']


def checkpoint_without_reentry(model: nn.Module) -> None:
    """Takes over the gradient checkpointing of mmseg's backbones (``with_cp=True``), which recomputes each block in a
    backward pass of its own: DDP fails on that where a block runs twice in one pass, as all of HRDA's do."""
    for module in model.modules():
        if getattr(module, 'with_cp', False):
            module.with_cp = False
            # Only blocks compute; a backbone hands the option on to them.
            if not any(getattr(part, 'with_cp', False) for part in module.modules()):
                module.forward = _recomputed(module.forward)


def _recomputed(forward: Callable) -> Callable:
    def recomputed(*args: object, **kwargs: object) -> Tensor:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return recomputed
