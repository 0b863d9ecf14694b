"""The processes of a run: how they start, what they exchange besides gradients, and what each has for itself."""

import os
import random
import re
import subprocess
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.model import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from mmseg.registry import MODEL_WRAPPERS
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from udass.models.ranks import average_over_ranks_, running_statistics

_PORT = '29500'
_INSIDE = 'module.'


def start_processes(launcher: str, backend: str | None = None, timeout: float = 1800) -> None:
    """Joins this process to the others of the run; mmengine's own start needs a GPU.

    Args:
        launcher: ``pytorch`` (torchrun) or ``slurm`` (srun); ValueError if it did not start this process.
        backend: None takes NCCL where there is a GPU and gloo where there is none.
        timeout: seconds after which a process that waits for another gives up.
    """
    if launcher == 'slurm':
        use_slurm_environment(os.environ)
    elif launcher != 'pytorch':
        raise ValueError(f"the launcher is 'pytorch' (torchrun) or 'slurm', got {launcher!r}")
    needed = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
    missing = [name for name in needed if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher}: {", ".join(missing)} is not set, so {launcher} did not start this process; use '
            'tools/dist_train.sh, tools/dist_test.sh or tools/slurm_train.sh, or leave --launcher out'
        )
    has_gpu = torch.cuda.is_available()
    if backend == 'nccl' and not has_gpu:
        raise ValueError("env_cfg.dist_cfg.backend is 'nccl', which needs a GPU, and there is none: leave it out")
    if has_gpu:
        torch.cuda.set_device(local_device(int(os.environ['LOCAL_RANK']), torch.cuda.device_count()))
    dist.init_process_group(backend or ('nccl' if has_gpu else 'gloo'), timeout=timedelta(seconds=timeout))


def local_device(local_rank: int, devices: int) -> int:
    """GPU of a process; ValueError if the machine has fewer GPUs than processes."""
    # SLURM may give each process its own GPU only.
    if devices == 1 and 'SLURM_PROCID' in os.environ:
        return 0
    if local_rank >= devices:
        raise ValueError(f'process {local_rank} of this machine has no GPU: start at most {devices}, one per GPU')
    return local_rank


def use_slurm_environment(environment: MutableMapping[str, str]) -> None:
    """Sets what torch reads (RANK, WORLD_SIZE, ...) from what srun sets; ValueError if srun started nothing."""
    missing = [name for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID') if name not in environment]
    if missing:
        raise ValueError(f'--launcher slurm: {", ".join(missing)} is not set; start by tools/slurm_train.sh or srun')
    environment.update(
        RANK=environment['SLURM_PROCID'],
        WORLD_SIZE=environment['SLURM_NTASKS'],
        LOCAL_RANK=environment['SLURM_LOCALID'],
    )
    environment.setdefault('MASTER_PORT', _PORT)
    if 'MASTER_ADDR' not in environment:
        environment['MASTER_ADDR'] = _first_host(environment.get('SLURM_NODELIST', 'localhost'))


def _first_host(nodes: str) -> str:
    """First machine of a SLURM node list, which may be as short as ``gpu[03-05,9]``."""
    if not re.search(r'[\[,]', nodes):
        return nodes
    listed = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
    return listed.stdout.split()[0]


@contextmanager
def processes_ended() -> Iterator[None]:
    """Takes this process out of the run when the block ends."""
    try:
        yield
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def check_sync_bn(kind: str | None) -> None:
    """Raises ValueError if ``sync_bn`` of a config cannot be done."""
    if kind not in (None, 'torch'):
        raise ValueError(f"sync_bn is 'torch' or None (mmcv's needs its compiled operations); got {kind!r}")
    if kind is not None and not torch.cuda.is_available():
        raise ValueError(
            "sync_bn='torch' works on GPUs only, and there is none: leave sync_bn out. Each process then normalises "
            'with the statistics of its own batch'
        )


class HostExchange:
    """Exchanges values on the host, without waiting for the device. All processes build it, and make every call; one
    that waits for another gives up after ``timeout`` seconds."""

    def __init__(self, timeout: float = 1800) -> None:
        self._size = get_world_size()
        # NCCL only exchanges tensors on the device.
        options = dict(backend='gloo', timeout=timedelta(seconds=timeout))
        self._group = dist.new_group(**options) if self._size > 1 else None

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self._size == 1:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self._group)
        return bool(value)

    def wait(self) -> None:
        """Returns when all processes have called it."""
        self.any(False)

    def gather(self, value: object) -> list:
        """The values of all processes in the order of their ranks."""
        values = [value] * self._size
        if self._size > 1:
            dist.all_gather_object(values, value, group=self._group)
        return values


def check_same(exchange: HostExchange, values: Mapping[str, object]) -> None:
    """Compares named values among all processes; ValueError on each of them, with both values, if some differ."""
    first, *others = exchange.gather(dict(values))
    wrong = [
        f'{name} is {first.get(name, "not set")} in process 0 and {other.get(name, "not set")} in process {rank}'
        for name in {key: None for one in (first, *others) for key in one}
        for rank, other in enumerate(others, 1)
        if other.get(name) != first.get(name)
    ]
    if wrong:
        raise ValueError(
            'the processes of one run must do the same, or they train different networks and average their gradients: '
            f'{"; ".join(wrong[:5])}. Give all machines the same command, code, data and work dir'
        )


def rank_state(model: nn.Module) -> dict:
    """Extra states and running statistics of batch norm of this process, under their keys of the state dict and on the
    host; empty for a single process, whose state dict has it all. The model is without a wrapper."""
    if get_world_size() == 1:
        return {}
    own = ('_extra_state', 'running_mean', 'running_var')
    state = {key: value for key, value in model.state_dict().items() if key.endswith(own)}
    return tree_map_only(Tensor, lambda value: value.detach().cpu().clone(), state)


def with_rank_state(state: Mapping, states: list[dict], rank: int, ranks: int) -> dict:
    """The state dict of a checkpoint, with the ``rank_state`` of this process if there are as many as there were."""
    own = states[rank] if len(states) == ranks else {}
    return {**state, **{key: value for key, value in own.items() if key in state}}


@contextmanager
def sync_batch_norm_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, running statistics of batch norm are their mean over the processes, all of which call this; afterwards
    each process has its own again."""
    statistics = running_statistics(model) if get_world_size() > 1 else []
    before = [value.clone() for value in statistics]
    average_over_ranks_(statistics)
    try:
        yield
    finally:
        for value, own in zip(statistics, before, strict=True):
            value.copy_(own)


@MODEL_WRAPPERS.register_module()
class SeparateDataParallel(MMSeparateDistributedDataParallel):
    """Each trained child of the model in a DDP of its own, the others as they are; ``train_step`` is the model's own.

    Keys of state dicts are those of the model without DDP (``student.backbone...``), so that checkpoints fit any number
    of processes.

    Args:
        module: the model, on its device.
        find_unused_parameters: some passes leave trained parameters without gradient. It costs a walk through the graph
            in every pass.
    """

    def __init__(self, module: nn.Module, find_unused_parameters: bool = False) -> None:
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else None
        # Running statistics of batch norm stay with their rank, see `rank_state`.
        options = dict(broadcast_buffers=False, device_ids=devices)
        super().__init__(module, find_unused_parameters=find_unused_parameters, **options)
        for child in self._wrapped().values():
            child.register_state_dict_post_hook(_without_module)
            child.register_load_state_dict_pre_hook(_with_module)

    def _wrapped(self) -> dict[str, nn.Module]:
        children = self.module.named_children()
        return {name: child for name, child in children if isinstance(child, MMDistributedDataParallel)}

    @contextmanager
    def plain(self) -> Iterator[nn.Module]:
        """Inside, the model has its children without DDP: for what uses the names of parameters."""
        wrapped = self._wrapped()
        for name, child in wrapped.items():
            setattr(self.module, name, child.module)
        try:
            yield self.module
        finally:
            for name, child in wrapped.items():
                setattr(self.module, name, child)


def _without_module(module: nn.Module, state: dict, prefix: str, *_: object) -> None:
    for key in [key for key in state if key.startswith(prefix + _INSIDE)]:
        # Popped and set again in turn, the keys keep their order.
        state[prefix + key.removeprefix(prefix + _INSIDE)] = state.pop(key)


def _with_module(module: nn.Module, state: dict, prefix: str, *_: object) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + _INSIDE + key.removeprefix(prefix)] = state.pop(key)


def get_random_state() -> dict:
    """States of the generators of Python, NumPy and torch (CPU, and the current CUDA device if there is one) as plain
    containers, which load with ``weights_only=True``."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    numpy_state = dict(
        keys=torch.from_numpy(keys.astype(np.int64)),
        position=int(position),
        has_gauss=int(has_gauss),
        gauss=float(gauss),
    )
    state = {'python': random.getstate(), 'numpy': numpy_state, 'torch': torch.get_rng_state()}
    return state | ({'cuda': torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(state: dict) -> None:
    """Sets the generators to what :func:`get_random_state` returned, here or in another process."""
    version, internal, gauss_next = state['python']
    random.setstate((version, tuple(internal), gauss_next))
    numpy_state = state['numpy']
    keys = numpy_state['keys'].cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', keys, numpy_state['position'], numpy_state['has_gauss'], numpy_state['gauss']))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def seed_generators(seed: int) -> None:
    """Seeds the generators of Python, NumPy and torch (all devices) with a number >= 0."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Inside, random numbers can be drawn without a change to those that come afterwards."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)
