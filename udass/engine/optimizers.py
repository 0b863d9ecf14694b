"""Optimizers of methods that train more than the student."""

from collections.abc import Mapping

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import Tensor, nn

from udass.uda.networks import unwrap


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ChildOptimWrapperConstructor:
    """One optimizer wrapper per child of the model::

        optim_wrapper = dict(
            constructor='ChildOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(...), paramwise_cfg=dict(...)),
            adaptation_loss=dict(type='OptimWrapper', optimizer=dict(...)))

    ``param_scheduler`` is then a dict of lists under the same names. States of all of them are saved and resumed. The
    parameters of an `AdversarialAlignment` with ``train_with_student`` are in the student's optimizer, too.

    Args:
        optim_wrapper_cfg (dict): child -> config of its optimizer wrapper.
        paramwise_cfg (None): belongs to each child; here it must be None.

    Raises:
        ValueError: a name is no child of the model, its value no config, or a child with parameters to train has no
            optimizer; or ``train_with_student`` in fp16, where each wrapper scales gradients by itself.
    """

    def __init__(self, optim_wrapper_cfg: Mapping, paramwise_cfg: None = None) -> None:
        if paramwise_cfg is not None:
            raise ValueError(
                'paramwise_cfg belongs into the optimizer wrapper of each child, e.g. '
                'optim_wrapper.student.paramwise_cfg'
            )
        wrong = [name for name, config in optim_wrapper_cfg.items() if not isinstance(config, Mapping)]
        if wrong:
            raise ValueError(
                f'optim_wrapper.{wrong[0]} is {optim_wrapper_cfg[wrong[0]]!r}, but this method has an '
                'optimizer per part of the model: set optim_wrapper.<part>.' + wrong[0]
            )
        self._configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        children = dict(unwrap(model).named_children())
        trained = [name for name, child in children.items() if any(value.requires_grad for value in child.parameters())]
        unknown, missing = sorted(set(self._configs) - set(trained)), sorted(set(trained) - set(self._configs))
        if unknown or missing:
            raise ValueError(
                f'optim_wrapper has optimizers for {", ".join(self._configs)}; the parts of '
                f'{type(model).__name__} to be trained are {", ".join(trained)}: name each of these once'
            )
        wrappers = {name: build_optim_wrapper(children[name], config) for name, config in self._configs.items()}
        adaptation_loss = children.get('adaptation_loss')
        if getattr(
            unwrap(adaptation_loss),
            'train_with_student',
            False,
        ):
            if any(
                hasattr(wrapper, 'loss_scaler') and wrapper.loss_scaler.is_enabled() for wrapper in wrappers.values()
            ):
                raise ValueError(
                    'adaptation_loss.train_with_student lets two optimizers step on the same gradients, which '
                    'fp16 scales for one of them alone: train in bf16 or single precision'
                )
            wrappers['student'].optimizer.add_param_group({'params': list(adaptation_loss.parameters())})
        return OptimWrapperDict(**wrappers)


@torch.no_grad()
def match_memory_layout(optim_wrapper: OptimWrapper | OptimWrapperDict) -> None:
    """Stores each loaded moment as its parameter is stored.

    Optimizers keep the strides of the file. A fused step walks through parameter and moments side by side, and would
    take the moments of other weights if ``channels_last`` was switched between saving and resuming.
    """
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    for wrapper in wrappers:
        for parameter, state in wrapper.optimizer.state.items():
            for name, value in state.items():
                same_shape = isinstance(value, Tensor) and value.shape == parameter.shape
                if same_shape and value.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
