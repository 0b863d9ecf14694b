"""What differs between the processes of a run, for the checkpoint that one of them writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from udass.models.ranks import average_over_ranks_, running_statistics, world_size

_EXTRA = '_extra_state'
_STATISTICS = ('running_mean', 'running_var')


def rank_state(model: nn.Module) -> dict:
    """Extra states (counters, templates, generators) and running statistics of batch norm of this process, under their
    keys of the state dict and on the host; of a single process nothing, as its state dict has it all.

    Args:
        model (nn.Module): without a wrapper.
    """
    if world_size() == 1:
        return {}
    return {key: _on_host(value) for key, value in model.state_dict().items() if key.endswith((_EXTRA, *_STATISTICS))}


def with_rank_state(state: Mapping, states: list[dict], rank: int, ranks: int) -> dict:
    """The state dict of a checkpoint with what belongs to this process.

    Args:
        state (Mapping): of the checkpoint: the main process's, with joined statistics.
        states (list[dict]): ``rank_state`` of each process that wrote the checkpoint.
        rank, ranks (int): this process and how many there are; with another number than before the state is as it is.
    """
    own = states[rank] if len(states) == ranks else {}
    return {**state, **{key: value for key, value in own.items() if key in state}}


@contextmanager
def sync_batch_norm_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, running statistics of batch norm are their mean over the processes; afterwards each has its own again.

    So a validation and a checkpoint look at all processes' batches, and training does not notice.

    Args:
        model (nn.Module): without a wrapper. To be called by all processes.
    """
    statistics = running_statistics(model) if world_size() > 1 else []
    kept = [value.clone() for value in statistics]
    average_over_ranks_(statistics)
    try:
        yield
    finally:
        for value, own in zip(statistics, kept, strict=True):
            value.copy_(own)


def _on_host(value: object) -> object:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {key: _on_host(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_on_host(item) for item in value)
    return value
