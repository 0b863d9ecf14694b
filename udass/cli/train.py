"""Train a network as a config describes it."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from udass.cli import add_launcher, add_settings, command, explained_type_errors, new_parser

if TYPE_CHECKING:
    from mmengine.config import Config


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    example = 'train.py configs/streets_quadmix.py --seed 1 (Ctrl-C saves; with --resume the same command goes on)'
    result = new_parser('Train what a config describes.', example)
    add = result.add_argument
    add('config', help='config file')
    add('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    text = 'go on from a checkpoint; without a name from the latest one of the work dir, if any'
    add('--resume', nargs='?', const='latest', metavar='CHECKPOINT', help=text)
    add_settings(result)
    add_launcher(result)
    text = 'mixed precision, bf16 if no kind is given (without --amp: as in the config)'
    add('--amp', nargs='?', const='bf16', choices=('bf16', 'fp16'), help=text)
    add('--deterministic', action='store_true', help='deterministic algorithms on the GPU (slower)')
    add('--seed', type=int, help='seed of every random stream (default: that of the config)')
    return result


def build_config(args: argparse.Namespace) -> 'Config':
    """The config with everything that the command line changes."""
    from udass.engine.checkpoint import has_checkpoint
    from udass.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    if args.work_dir is not None or config.get('work_dir') is None:
        config.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem)
    config.launcher = args.launcher
    if args.seed is not None:
        config.randomness['seed'] = args.seed
    if args.deterministic:
        # cuBLAS needs this to be deterministic, and before it starts.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        config.randomness['deterministic'] = True
        config.env_cfg['cudnn_benchmark'] = False
    if args.amp is not None:
        config.amp = args.amp
    if args.resume not in (None, 'latest'):
        config.resume, config.load_from = True, args.resume
    elif args.resume and (has_checkpoint(Path(config.work_dir)) or config.get('load_from') is None):
        # Otherwise this is the first start of a command with --resume: it starts from load_from.
        config.resume, config.load_from = True, None
    return config


def resume_command(arguments: Sequence[str], processes: int = 1, local_processes: int | None = None) -> str:
    """The command that continues an interrupted one.

    Args:
        arguments: of the interrupted one; under torchrun the config comes first, as tools/dist_train.sh gives it.
        processes: number on all machines.
        local_processes: number on this machine; None is all.
    """
    rest = [argument for argument in arguments if not argument.startswith('--resume=')]
    if '--resume' in rest:
        place = rest.index('--resume')
        # argparse takes whatever follows as its value, if that is no option.
        has_value = place + 1 < len(rest) and not rest[place + 1].startswith('-')
        del rest[place : place + 1 + has_value]
    if '--launcher' not in rest:
        return shlex.join(['python', 'tools/train.py', *rest, '--resume'])
    place = rest.index('--launcher')
    launcher = rest[place + 1]
    del rest[place : place + 2]
    if launcher == 'slurm':
        return 'the same tools/slurm_train.sh command and --resume'
    if local_processes not in (None, processes):
        return 'the same command on each machine with --resume'
    return shlex.join(['tools/dist_train.sh', rest[0], str(processes), *rest[1:], '--resume'])


def run(args: argparse.Namespace) -> None:
    """Train; an interrupt saves a checkpoint and logs the command that continues."""
    from mmseg.registry import RUNNERS

    from udass.engine.distributed import processes_ended
    from udass.engine.interrupt import SIGNALS

    config = build_config(args)
    with processes_ended(), explained_type_errors(config.to_dict()):
        runner = RUNNERS.build(config)
        try:
            runner.train()
        except SystemExit as stop:
            if stop.code in [128 + number for number in SIGNALS]:
                # Set by torchrun.
                local = int(os.environ.get('LOCAL_WORLD_SIZE', runner.world_size))
                runner.logger.info(f'Resume with: {resume_command(args.arguments, runner.world_size, local)}')
                runner.host_exchange.wait()
            raise


main = command(parser, run)

if __name__ == '__main__':
    main()
