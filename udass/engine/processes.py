"""The processes of a distributed run: how they find each other, and what they tell each other besides gradients."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

_PORT = '29500'


def start_processes(launcher: str, backend: str | None = None, timeout: float = 1800) -> None:
    """Joins this process to the others of the run; mmengine's own start asks for a GPU.

    Args:
        launcher (str): ``pytorch`` (torchrun) or ``slurm`` (srun).
        backend (str | None): None takes NCCL where there is a GPU and gloo where there is none.
        timeout (float): seconds after which a process that waits for another gives up.

    Raises:
        ValueError: an unknown launcher, a backend that the device does not have, or the launcher did not start this.
    """
    if launcher == 'slurm':
        use_slurm_environment(os.environ)
    elif launcher != 'pytorch':
        raise ValueError(f"the launcher is 'pytorch' (torchrun) or 'slurm', got {launcher!r}")
    missing = [
        name for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ
    ]
    if missing:
        raise ValueError(
            f'--launcher {launcher}: {", ".join(missing)} is not set, so {launcher} did not start this '
            'process; use tools/dist_train.sh, tools/dist_test.sh or tools/slurm_train.sh, or leave '
            '--launcher out'
        )
    has_gpu = torch.cuda.is_available()
    if backend == 'nccl' and not has_gpu:
        raise ValueError("env_cfg.dist_cfg.backend is 'nccl', which needs a GPU, and there is none: leave it out")
    if has_gpu:
        torch.cuda.set_device(local_device(int(os.environ['LOCAL_RANK']), torch.cuda.device_count()))
    dist.init_process_group(backend or ('nccl' if has_gpu else 'gloo'), timeout=timedelta(seconds=timeout))


def local_device(local_rank: int, devices: int) -> int:
    """GPU of a process.

    Raises:
        ValueError: the machine has fewer GPUs than processes.
    """
    # SLURM may show each process its own GPU only.
    if devices == 1 and 'SLURM_PROCID' in os.environ:
        return 0
    if local_rank >= devices:
        raise ValueError(
            f'process {local_rank} of this machine has no GPU: there are {devices}. Start as many processes as GPUs'
        )
    return local_rank


def use_slurm_environment(environment: MutableMapping[str, str]) -> None:
    """Fills in what torch reads (RANK, WORLD_SIZE, ...) from what srun sets.

    Raises:
        ValueError: srun did not start this process.
    """
    missing = [name for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID') if name not in environment]
    if missing:
        raise ValueError(
            f'--launcher slurm: {", ".join(missing)} is not set; start it with tools/slurm_train.sh or srun'
        )
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


class HostExchange:
    """What the processes tell each other on the host, without waiting for the device. Every call is one of all ranks.

    To be made by all processes at once, after they were started; with one process it exchanges nothing.

    Args:
        timeout (float): seconds after which a process that waits for another gives up.
    """

    def __init__(self, timeout: float = 1800) -> None:
        self._group: dist.ProcessGroup | None = None
        self._several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if self._several:
            # NCCL only knows tensors on the device.
            self._group = dist.new_group(backend='gloo', timeout=timedelta(seconds=timeout))

    def any(self, flag: bool) -> bool:
        """Whether the flag of one process at least is set."""
        if not self._several:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self._group)
        return bool(value)

    def wait(self) -> None:
        """Until all processes are here."""
        self.any(False)

    def gather(self, value: object) -> list | None:
        """The values of all processes in the order of their ranks, on the main process; None on the others."""
        if not self._several:
            return [value]
        values = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
        dist.gather_object(value, values, dst=0, group=self._group)
        return values

    def gather_everywhere(self, value: object) -> list:
        """The values of all processes in the order of their ranks."""
        if not self._several:
            return [value]
        values = [None] * dist.get_world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values


def check_same(exchange: HostExchange, values: Mapping[str, object]) -> None:
    """Compares values by name, among all processes of a run.

    Raises:
        ValueError: on every process, naming what differs, and the values of the main process and of the first other.
    """
    first, *others = exchange.gather_everywhere(dict(values))
    wrong = [
        f'{name} is {first.get(name, "not set")} in process 0 and {other.get(name, "not set")} in process {rank}'
        for name in {key: None for one in (first, *others) for key in one}
        for rank, other in enumerate(others, 1)
        if other.get(name) != first.get(name)
    ]
    if wrong:
        raise ValueError(
            'the processes of one run must do the same, or they train different networks and average '
            f'their gradients: {"; ".join(wrong[:5])}. Give all machines the same command, code, data '
            'and work dir'
        )
