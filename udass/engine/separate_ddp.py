"""A model whose parts are trained on several processes, under the names that it has on one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from mmseg.registry import MODEL_WRAPPERS
from torch import nn

_INSIDE = 'module.'


@MODEL_WRAPPERS.register_module()
class SeparateDataParallel(MMSeparateDistributedDataParallel):
    """Each trained child of the model in a DDP of its own, the others as they are; ``train_step`` is the model's own.

    Keys of state dicts are those of the model without DDP (``student.backbone...``), both when saving and loading, so
    that checkpoints fit any number of processes.

    Args:
        module (nn.Module): the model, on its device.
        find_unused_parameters (bool): some passes leave trained parameters without gradient. It costs a walk through
            the graph in every pass.
    """

    def __init__(self, module: nn.Module, find_unused_parameters: bool = False) -> None:
        # Running statistics of batch norm stay with their rank; see `udass.engine.rank_state`.
        device_ids = [torch.cuda.current_device()] if torch.cuda.is_available() else None
        super().__init__(
            module, broadcast_buffers=False, find_unused_parameters=find_unused_parameters, device_ids=device_ids
        )
        for child in module.children():
            if isinstance(child, MMDistributedDataParallel):
                child.register_state_dict_post_hook(_without_module)
                child.register_load_state_dict_pre_hook(_with_module)

    @contextmanager
    def plain(self) -> Iterator[nn.Module]:
        """Inside, the model has its children without DDP: for what goes by the names of parameters."""
        wrapped = {
            name: child for name, child in self.module.named_children() if isinstance(child, MMDistributedDataParallel)
        }
        for name, child in wrapped.items():
            setattr(self.module, name, child.module)
        try:
            yield self.module
        finally:
            for name, child in wrapped.items():
                setattr(self.module, name, child)


def _without_module(module: nn.Module, state: dict, prefix: str, local_metadata: dict) -> None:
    for key in [key for key in state if key.startswith(prefix + _INSIDE)]:
        # Popped and set again in turn, the keys keep their order.
        state[prefix + key.removeprefix(prefix + _INSIDE)] = state.pop(key)


def _with_module(
    module: nn.Module,
    state: dict,
    prefix: str,
    local_metadata: dict,
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + _INSIDE + key.removeprefix(prefix)] = state.pop(key)
