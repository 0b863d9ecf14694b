"""The command ``udass benchmark gpu``: what the published image methods take on one GPU, in a few minutes."""

import argparse
import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import NamedTuple

import torch
from torch import distributed

from udass.benchmark.cases import training_step
from udass.benchmark.measure import device_work, machine, measure_memory, measure_time
from udass.cli import write_json
from udass.engine.config import load_config


class Row(NamedTuple):
    """A line of the table: a config with other settings, in a process group of its own or in none."""

    config: str
    name: str
    options: dict
    in_group: bool = False


_METHODS = ('gta2cs_daformer', 'gta2cs_mic', 'gta2cs_quadmix')
_BACKBONE = 'model.student.backbone'
_VIT_L = {
    'amp': 'bf16',
    f'{_BACKBONE}.name': 'vit_large_patch14_dinov2.lvd142m',
    f'{_BACKBONE}.with_cp': True,
    'model.student.decode_head.in_channels': 1024,
    # One batch, as of the other rows, instead of four per step.
    'optim_wrapper.accumulative_counts': 1,
}
# In the order of what is to be known first: where the time ends, the last ones are left out. Compiling takes longest.
ROWS = [
    *(Row(config, 'fp32', {'tf32': False}) for config in _METHODS),
    *(Row(config, 'TF32', {'tf32': True}) for config in _METHODS),
    *(Row(config, 'bf16', {'tf32': False, 'amp': 'bf16'}) for config in _METHODS),
    Row('gta2cs_vfmuda', 'ViT-L, bf16, recomputation', {'tf32': False, **_VIT_L}),
    Row('gta2cs_daformer', 'fp16, scaled loss', {'tf32': False, 'amp': 'fp16'}),
    Row('gta2cs_daformer', 'fp32, NCCL', {'tf32': False}, in_group=True),
    Row('gta2cs_daformer', 'fp32, NCCL, SyncBN', {'tf32': False, 'sync_bn': 'torch'}, in_group=True),
    *(Row(config, 'bf16, compiled', {'tf32': False, 'amp': 'bf16', 'compile': True}) for config in _METHODS),
]


def run(args: argparse.Namespace, device: torch.device) -> dict:
    """Measure the rows of the configs that are named, or all, until the time ends; a row that fails has an ``error``.

    The file of ``--json`` is written after each row.
    """
    rows: list[dict] = []
    result = {'what': 'gpu', 'size': args.size, 'batch': args.batch, 'machine': machine(device), 'rows': rows}
    first: dict[str, float] = {}
    start = perf_counter()
    for row in ROWS:
        if args.configs and row.config not in args.configs:
            continue
        rows.append({'config': f'{row.config}, {row.name}'})
        try:
            with time_limit(args.budget - (perf_counter() - start)):
                rows[-1] |= measure(row, args, device)
            rows[-1]['ratio'] = rows[-1]['median'] / first.setdefault(row.config, rows[-1]['median'])
        except Exception as error:
            rows[-1]['error'] = f'{type(error).__name__}: {(str(error).strip() or "no message").splitlines()[0]}'
        # What a row that failed leaves behind is not to take the memory of the next one.
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        print(f'{rows[-1]["config"]}: {rows[-1].get("error", "measured")}, {perf_counter() - start:.0f} s', flush=True)
        if args.json is not None:
            write_json(args.json, result)
    return result


def measure(row: Row, args: argparse.Namespace, device: torch.device) -> dict:
    """Time, memory, launches and idle share of a step, and the seconds of the first two, after which all is there:
    templates, the state of the optimizer, compiled networks."""
    config = load_config(row.config, {**row.options, **(args.cfg_options or {})})
    source = config.train_dataloader.source
    crop = next(transform['crop_size'] for transform in source.dataset.pipeline if 'crop_size' in transform)
    size, batch = args.size or crop, args.batch or source.batch_size
    with process_group(device) if row.in_group else nullcontext():
        step = training_step(config, batch, (size[0], size[-1]), device)
        start = perf_counter()
        step()
        step()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)  # The kernels of both steps are over, too.
        first = {'first_seconds': perf_counter() - start, 'size': size, 'batch': batch}
        time = measure_time(step, args.seconds)
        launches, busy = device_work(step, device)
        memory = measure_memory(step, device)
    idle = None if busy is None else max(0, 1 - busy / time['median'])
    work = {'samples_per_second': batch / time['mean'], 'peak_bytes': memory, 'launches': launches, 'idle': idle}
    return {**first, **time, **work}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError inside the block once so many seconds are over, also while networks are compiled."""

    def stop(*_: object) -> None:
        raise TimeoutError('the time given by --budget is over')

    if seconds <= 0:
        stop()
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """A group of this process alone: NCCL on a GPU, gloo on a CPU."""
    backend = 'nccl' if device.type == 'cuda' else 'gloo'
    distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()
