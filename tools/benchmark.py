"""Measures what loaders, training steps, inference, mixing and optical flow cost.

    python tools/benchmark.py step configs/benchmark_quadmix_mitb0.py --batch 1 2 4
    python tools/benchmark.py step configs/benchmark_daformer_mitb0.py --against configs/benchmark_quadmix_mitb0.py
    python tools/benchmark.py infer configs/gta2cs_daformer.py --against-options channels_last=True
    python tools/benchmark.py loader configs/gta2cs_quadmix.py --published-sizes --json loader.json

Two configs, or one with and without switches, are run in turns, and their ratio is told. Nothing else should run on the
machine. Only `loader` reads data, and with --published-sizes it draws them.
"""

import argparse
import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from udass.benchmark.flow import benchmark_flow
from udass.benchmark.infer import benchmark_inference
from udass.benchmark.loader import benchmark_loader
from udass.benchmark.mix import benchmark_ema, benchmark_mixing, build_network
from udass.benchmark.pictures import draw_files
from udass.benchmark.step import benchmark_step
from udass.benchmark.tables import to_text
from udass.cli.command import run_command
from udass.engine.config import load_config
from udass.io.writing import write_text

DEFAULT_CONFIG = 'configs/benchmark_quadmix_mitb0.py'
_DRAWN = 48


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure what loaders, training steps, inference, mixing and optical flow cost.',
        epilog='example: python tools/benchmark.py step configs/benchmark_quadmix_mitb0.py --batch 1 2 4 --size 256',
    )
    parser.add_argument('what', choices=[*SUITES, 'all'], help='what to measure')
    parser.add_argument('config', nargs='?', default=DEFAULT_CONFIG, help='config file (default: %(default)s)')
    parser.add_argument('--against', metavar='CONFIG', help='another config, run in turns with the first (step, infer)')
    parser.add_argument(
        '--against-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='measure the config (or that of --against) with these settings, too',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of every config',
    )
    parser.add_argument(
        '--published-sizes',
        action='store_true',
        help='sizes of the published experiments: crops of the config, mixing at 1024x1024, pictures '
        'of 1024x2048, and drawn files as large as those of GTA for the loader',
    )
    parser.add_argument(
        '--size',
        nargs='+',
        type=int,
        default=[256],
        metavar='PIXELS',
        help='side of the crops or pictures; several for steps (default: 256)',
    )
    parser.add_argument(
        '--batch', nargs='+', type=int, default=[2], help='samples per domain; several for steps (default: 2)'
    )
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='cpu, cuda or cuda:N')
    parser.add_argument('--threads', type=int, help='threads of torch on the CPU (default: its own choice)')
    parser.add_argument('--workers', type=int, default=2, help='processes of the loader (default: 2)')
    parser.add_argument('--repeats', type=int, default=10, help='measured rounds (default: 10)')
    parser.add_argument('--warmup', type=int, default=3, help='rounds before them (default: 3)')
    parser.add_argument('--json', metavar='FILE', help='write the result to this file as well')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def check_args(args: argparse.Namespace) -> None:
    """Refuse what would fail late, or measure something else.

    Raises:
        ValueError: a number or a device that makes no sense.
    """
    device = args.device.partition(':')[0]
    if device not in ('cpu', 'cuda'):
        raise ValueError(f'device is cpu, cuda or cuda:N, for whose work the clock can wait; got {args.device!r}')
    if device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('there is no GPU that torch can use: leave --device out')
    if min(*args.size, *args.batch, args.repeats, args.threads or 1) < 1 or min(args.warmup, args.workers) < 0:
        raise ValueError('sizes, batches, repeats and threads are at least 1, warmup and workers at least 0')
    if args.what not in ('step', 'all') and (len(args.size) > 1 or len(args.batch) > 1):
        raise ValueError(f'several sizes or batches are for steps; {args.what} takes one of each')


def build_configs(args: argparse.Namespace) -> dict[str, Config]:
    """The config, and what it is compared with, by the names under which they are reported."""
    configs = {Path(args.config).stem: load_config(args.config, args.cfg_options)}
    if args.against is None and args.against_options is None:
        return configs
    path = args.against or args.config
    options = {**(args.cfg_options or {}), **(args.against_options or {})}
    switches = ', '.join(f'{key}={value}' for key, value in (args.against_options or {}).items())
    name = f'{Path(path).stem}, {switches}' if switches else Path(path).stem
    if name in configs:
        raise ValueError(f'{path} is compared with itself: give --against another config, or --against-options')
    return {**configs, name: load_config(path, options)}


def published_crop(config: Config) -> tuple[int, int]:
    """(H, W) of the source crops of a config.

    Raises:
        ValueError: its pipeline does not crop.
    """
    for transform in config.train_dataloader.source.dataset.pipeline:
        if 'crop_size' in transform:
            return tuple(transform['crop_size'])
    raise ValueError(
        'the source pipeline of this config crops nothing, so that there is no published crop size: give --size instead'
    )


def image_size(args: argparse.Namespace, published: tuple[int, int]) -> tuple[int, int]:
    """(H, W), one for everything."""
    return published if args.published_sizes else (args.size[0], args.size[0])


def run_loader(args: argparse.Namespace, configs: dict[str, Config]) -> dict:
    config = next(iter(configs.values()))
    if not args.published_sizes:
        return benchmark_loader(config, None, args.workers, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        draw_files(Path(folder), _DRAWN)
        return benchmark_loader(config, Path(folder), args.workers, args.repeats)


def run_step(args: argparse.Namespace, configs: dict[str, Config]) -> dict:
    sizes = [(side, side) for side in args.size]
    if args.published_sizes:
        sizes = [published_crop(next(iter(configs.values())))]
    return benchmark_step(configs, args.batch, sizes, args.repeats, args.warmup, torch.device(args.device))


def run_infer(args: argparse.Namespace, configs: dict[str, Config]) -> dict:
    return benchmark_inference(
        configs, args.batch[0], image_size(args, (1024, 2048)), args.repeats, args.warmup, torch.device(args.device)
    )


def run_mix(args: argparse.Namespace, configs: dict[str, Config]) -> dict:
    device = torch.device(args.device)
    return {
        'mixing': benchmark_mixing(args.batch[0], image_size(args, (1024, 1024)), args.repeats, args.warmup, device),
        'ema': benchmark_ema(build_network(next(iter(configs.values()))), args.repeats, args.warmup, device),
    }


def run_flow(args: argparse.Namespace, configs: dict[str, Config]) -> dict:
    return benchmark_flow(
        image_size(args, (1024, 2048)),
        args.repeats,
        args.warmup,
        torch.device(args.device),
        ['ultrafast', 'fast', 'medium'],
    )


SUITES: dict[str, Callable[[argparse.Namespace, dict[str, Config]], dict]] = {
    'loader': run_loader,
    'step': run_step,
    'infer': run_infer,
    'mix': run_mix,
    'flow': run_flow,
}


def machine(device: str) -> dict:
    """What the numbers depend on."""
    name = torch.cuda.get_device_name(device) if device.startswith('cuda') else platform.processor() or 'CPU'
    return {'device': name, 'cpu_count': os.cpu_count(), 'threads': torch.get_num_threads(), 'torch': torch.__version__}


def run(args: argparse.Namespace) -> None:
    check_args(args)
    # Not the 1000 lines about start weights and options per parameter.
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    configs = build_configs(args)
    if len(configs) == 2 and args.what not in ('step', 'infer'):
        raise ValueError(f'configs are compared in step and infer; {args.what} takes one config')
    init_default_scope('mmseg')
    result = {'arguments': vars(args), 'config': list(configs), 'machine': machine(args.device)}
    for name in SUITES if args.what == 'all' else [args.what]:
        result[name] = SUITES[name](args, configs)
        print(to_text(name, result[name]), flush=True)
    if args.json is not None:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_text(Path(args.json), json.dumps(result, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: run(args))


if __name__ == '__main__':
    main()
