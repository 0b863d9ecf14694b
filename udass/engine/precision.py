"""How networks are computed: precision, memory layout, compilation, recomputation. Weights stay in float32."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmseg.models import BaseSegmentor
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from udass.uda.checks import check_accumulation
from udass.uda.training_model import TrainingModel

_TYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(OptimWrapper):
    """Forward passes in half precision where that is safe, on a GPU or a CPU; for fp16 with a scaled loss.

    mmengine's ``AmpOptimWrapper`` refuses to be built without a GPU. ``amp = 'bf16'`` in a config sets this wrapper for
    every optimizer. The scale of the loss is saved and resumed with the optimizer.

    Args:
        optimizer (torch.optim.Optimizer): what makes the step.
        dtype (str): ``bf16`` (range of single precision, so that nothing needs scaling) or ``fp16``.
        initial_scale (float): factor of the loss at the start, for fp16; it follows what the gradients allow.
        clip_grad (dict | None): as in mmengine; the gradients are unscaled before.

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
        # Switched off, it hands everything through.
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


def check_type(dtype: str) -> None:
    """Raises ValueError for anything but ``bf16`` and ``fp16``."""
    if dtype not in _TYPES:
        raise ValueError(f"mixed precision is 'bf16' or 'fp16'; got {dtype!r}")


def check_wrappers(optim_wrapper: Mapping) -> None:
    """Whether the optimizer wrappers of a config can be built here.

    Raises:
        ValueError: mmengine's ``AmpOptimWrapper``, which wants a GPU, without one.
    """
    wrappers = [optim_wrapper] if 'optimizer' in optim_wrapper else list(optim_wrapper.values())
    kinds = [wrapper.get('type') for wrapper in wrappers if isinstance(wrapper, Mapping)]
    if 'AmpOptimWrapper' in kinds and not torch.cuda.is_available():
        raise ValueError(
            "optim_wrapper.type='AmpOptimWrapper' works on GPUs only, and there is none: take "
            "optim_wrapper.type='OptimWrapper', and amp='bf16' for mixed precision on a CPU"
        )


def with_mixed_precision(optim_wrapper: Mapping, dtype: str) -> dict:
    """The config of an optimizer wrapper, or of one per part of the model, for mixed precision.

    Raises:
        ValueError: an unknown type, a wrapper of another kind, whose precision is its own matter, or gradients would be
            accumulated over iterations.
    """
    check_type(dtype)
    if 'optimizer' not in optim_wrapper:
        return {
            name: with_mixed_precision(value, dtype) if isinstance(value, Mapping) else value
            for name, value in optim_wrapper.items()
        }
    kind = optim_wrapper.get('type', 'OptimWrapper')
    if kind != 'OptimWrapper':
        raise ValueError(
            f'amp={dtype!r} sets the optimizer wrapper, but optim_wrapper.type is {kind!r}: leave one of them out'
        )
    kept = dict(optim_wrapper)
    # An option of mmengine's wrapper alone.
    check_accumulation(kept.pop('accumulative_counts', 1))
    if dtype == 'fp16' and kept['optimizer'].get('fused'):
        # A fused step unscales the gradients by itself, after `FiniteLossHook` has looked at them: what overflowed and
        # is only to lower the scale would count as a fault.
        kept['optimizer'] = {**kept['optimizer'], 'fused': False}
    return {**kept, 'type': 'MixedPrecisionOptimWrapper', 'dtype': dtype}


def compile_networks(model: nn.Module, options: Mapping) -> list[str]:
    """Compiles backbone, neck and decoders of every network of a model, in place; names in state dicts stay.

    The training step around them is Python that decides, and is not compiled.

    Args:
        model (nn.Module): with or without DDP.
        options (Mapping): keyword arguments of ``torch.compile``.

    Returns:
        list[str]: names of what was compiled.
    """
    # A decoder whose features are mixed gets hooks while it runs, which compiled code does not see.
    parts = _PARTS[:2] if isinstance(model, TrainingModel) and model.hooks_decoders else _PARTS
    compiled = []
    for name, network in model.named_modules():
        for part in parts if isinstance(network, BaseSegmentor) else ():
            module = getattr(network, part, None)
            if isinstance(module, nn.Module) and not isinstance(module, nn.ModuleList):
                # `forward`, not the call: heads of mmseg are also entered through methods of theirs.
                module.forward = torch.compile(module.forward, **options)
                compiled.append(f'{name}.{part}'.replace('.module.', '.'))
    return compiled


def use_channels_last(model: nn.Module) -> None:
    """Stores convolution weights with channels innermost, the layout that tensor cores want; images follow them."""
    model.to(memory_format=torch.channels_last)


def checkpoint_without_reentry(model: nn.Module) -> None:
    """Takes over the gradient checkpointing of mmseg's backbones (``with_cp=True``), which recomputes each block in a
    backward pass of its own inside the backward pass.

    DDP fails on that wherever a block runs twice in one pass, as all of HRDA's do, and torch will drop it.
    """
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
