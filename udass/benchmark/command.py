"""The command ``udass benchmark``."""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from prettytable import PrettyTable, TableStyle

from udass.benchmark import cases, gpu
from udass.benchmark.measure import count_launches, machine, measure_memory, measure_time, profile_table
from udass.benchmark.memory import training_memory
from udass.cli import UsageError, write_json
from udass.engine.config import load_config
from udass.engine.config_files import read_config
from udass.inference.loading import find_device


def run(args: argparse.Namespace) -> dict:
    """Measure each config, print a table, return the result."""
    device = find_device(args.device)
    numbers = (*(args.size or ()), *(value for value in (args.batch, args.threads) if value is not None))
    if len(args.size or ()) > 2 or min(numbers, default=1) < 1 or args.seconds <= 0:
        raise UsageError('--size takes one or two numbers; sizes, --batch, --threads and --seconds must be positive')
    # Not the 1000 lines about start weights and options per parameter.
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope('mmseg')
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    if args.what == 'gpu':
        result = gpu.run(args, device)
        print(to_text(result))
        return result
    if not args.configs:
        raise UsageError(f'name a config to measure: udass benchmark {args.what} gta2cs_quadmix')
    args.size, args.batch = args.size or [256], args.batch or 2
    if args.what == 'memory':
        return compute_memory(args)
    rows = []
    for path in args.configs:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(args, load_config(path, args.cfg_options), device, Path(folder))
        rows.append({'config': Path(path).stem, **row, 'ratio': row['median'] / (rows or [row])[0]['median']})
    result = {'what': args.what, 'size': args.size, 'batch': args.batch, 'machine': machine(device), 'rows': rows}
    print(to_text(result))
    if args.json is not None:
        write_json(args.json, result)
    return result


def compute_memory(args: argparse.Namespace) -> dict:
    """Memory of a training for the network of each config or file of a network, as a table and as the result."""
    rows = []
    for path in args.configs:
        config = read_config(path)
        segmentor = config.get('segmentor') or config.model.student
        rows.append(
            {'config': Path(path).stem, **training_memory(segmentor, args.batch, (args.size[0], args.size[-1]))}
        )
    columns = {'states': 'states', 'bf16': 'bf16', 'bf16_with_cp': 'bf16, with_cp'}
    columns |= {'float32': 'float32', 'float32_with_cp': 'float32, with_cp'}
    table = PrettyTable(['memory in GiB', 'million parameters', *columns.values()], align='r')
    for row in rows:
        sizes = [f'{row[name] / 2**30:.1f}' for name in columns]
        table.add_row([row['config'], f'{row["parameters"] / 1e6:.1f}', *sizes])
    print(table)
    result = {'what': 'memory', 'size': args.size, 'batch': args.batch, 'torch': torch.__version__, 'rows': rows}
    if args.json is not None:
        write_json(args.json, result)
    return result


def measure(args: argparse.Namespace, config: Mapping, device: object, folder: Path) -> dict:
    """Time, peak memory and kernel launches of what is to be measured, for one config."""
    size = (args.size[0], args.size[-1])
    if args.what == 'loader':
        batch = config.train_dataloader.source.batch_size
        time = measure_time(cases.loader(config, folder), args.seconds)
        return {**time, 'samples_per_second': batch / time['mean'], 'peak_bytes': None, 'launches': None}
    build = {'step': cases.training_step, 'mix': cases.mixing, 'infer': cases.inference}[args.what]
    function = build(config, args.batch, size, device)
    time = measure_time(function, args.seconds)
    if args.profile:
        print(profile_table(function, device))
    launches = count_launches(function)
    # None of its tensors may be there beside those whose memory is measured.
    del function

    def build_and_run() -> None:
        # Templates of mixing and the state of the optimizer are there from the second step on.
        again = build(config, args.batch, size, device)
        again()
        again()

    memory = measure_memory(build_and_run, device)
    speed = args.batch / time['mean']
    return {**time, 'samples_per_second': speed, 'peak_bytes': memory, 'launches': launches}


def to_text(result: Mapping) -> str:
    """The result as a table in Markdown."""
    head = [result['what'], 'ms (quartiles)', 'ratio', 'samples per second', 'peak MiB', 'launches', 'idle']
    table = PrettyTable(head, align='r')
    table.set_style(TableStyle.MARKDOWN)
    table.align[head[0]] = 'l'
    for row in result['rows']:
        if 'error' in row:
            table.add_row([row['config'], row['error'], *['-'] * 5])
            continue
        median, low, high = (1e3 * row[name] for name in ('median', 'low', 'high'))
        memory = '-' if row['peak_bytes'] is None else f'{row["peak_bytes"] / 2**20:.0f}'
        launches = '-' if row['launches'] is None else row['launches']
        idle = '-' if row.get('idle') is None else f'{row["idle"]:.0%}'
        times = f'{median:.1f} ({low:.1f} to {high:.1f})'
        ratio, speed = f'{row["ratio"]:.2f}', f'{row["samples_per_second"]:.2f}'
        table.add_row([row['config'], times, ratio, speed, memory, launches, idle])
    return table.get_string()
