"""Optimizers of methods that train more than the student."""
from collections.abc import Mapping

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ChildOptimWrapperConstructor:
    """One optimizer wrapper per child of the model::

        optim_wrapper = dict(
            constructor='ChildOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(...), paramwise_cfg=dict(...)),
            alignment=dict(type='OptimWrapper', optimizer=dict(...)))

    ``param_scheduler`` is then a dict of lists under the same names. States of all of them are saved and resumed.

    Args:
        optim_wrapper_cfg (dict): child -> config of its optimizer wrapper.
        paramwise_cfg (None): belongs to each child; here it must be None.

    Raises:
        ValueError: a name is no child of the model, its value no config, or a child with parameters to train has no
            optimizer.
    """

    def __init__(self, optim_wrapper_cfg: Mapping, paramwise_cfg: None = None) -> None:
        if paramwise_cfg is not None:
            raise ValueError('paramwise_cfg belongs into the optimizer wrapper of each child, e.g. '
                             'optim_wrapper.student.paramwise_cfg')
        wrong = [name for name, config in optim_wrapper_cfg.items() if not isinstance(config, Mapping)]
        if wrong:
            raise ValueError(f'optim_wrapper.{wrong[0]} is {optim_wrapper_cfg[wrong[0]]!r}, but this method has an '
                             'optimizer per part of the model: set optim_wrapper.<part>.' + wrong[0])
        self._configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        children = dict((model.module if is_model_wrapper(model) else model).named_children())
        trained = [name for name, child in children.items() if any(value.requires_grad for value in child.parameters())]
        unknown, missing = sorted(set(self._configs) - set(trained)), sorted(set(trained) - set(self._configs))
        if unknown or missing:
            raise ValueError(f'optim_wrapper has optimizers for {", ".join(self._configs)}; the parts of '
                             f'{type(model).__name__} to be trained are {", ".join(trained)}: name each of these once')
        return OptimWrapperDict(**{name: build_optim_wrapper(children[name], config)
                                   for name, config in self._configs.items()})
