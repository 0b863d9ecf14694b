"""Trains what a config describes.

    python tools/train.py configs/streets_quadmix.py

Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 save a checkpoint; the same command with --resume goes on from there. On several
GPUs: tools/dist_train.sh.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmseg.registry import RUNNERS

from udass.cli.command import run_command
from udass.engine.checkpoint import has_checkpoint
from udass.engine.config import explain_type_error, load_config
from udass.engine.distributed import processes_ended
from udass.engine.interrupt import SIGNALS


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train what a config describes.',
        epilog='example: python tools/train.py configs/streets_quadmix.py --seed 1 (Ctrl-C saves; with --resume the '
        'same command goes on)',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='latest',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a name from the latest one of the work dir, if any',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, e.g. train_cfg.max_iters=100',
    )
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how processes start')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='bf16',
        choices=('bf16', 'fp16'),
        help='mixed precision, bf16 if no kind is given (without --amp: as in the config)',
    )
    parser.add_argument('--deterministic', action='store_true', help='deterministic algorithms on the GPU (slower)')
    parser.add_argument('--seed', type=int, help='seed of every random stream (default: that of the config)')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def build_config(args: argparse.Namespace) -> Config:
    """The config with everything that the command line changes."""
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
    if args.resume is not None:
        resume_from(config, args.resume)
    return config


def resume_from(config: Config, checkpoint: str) -> None:
    """Sets what to go on from: a checkpoint, or the latest one; if there is none yet, ``load_from`` is what to load."""
    if checkpoint != 'latest':
        config.resume, config.load_from = True, checkpoint
    elif has_checkpoint(Path(config.work_dir)) or config.get('load_from') is None:
        config.resume, config.load_from = True, None


def resume_command(arguments: list[str], processes: int = 1, local_processes: int | None = None) -> str:
    """What to type to continue the interrupted command.

    Args:
        arguments: of this tool; under torchrun the config comes first, as tools/dist_train.sh gives it.
        processes: how many there are on all machines.
        local_processes: how many of them are on this machine; None is all.
    """
    kept = [argument for argument in arguments if not argument.startswith('--resume=')]
    if '--resume' in kept:
        place = kept.index('--resume')
        # argparse takes whatever follows as its value, if that is no option.
        has_value = place + 1 < len(kept) and not kept[place + 1].startswith('-')
        del kept[place : place + 1 + has_value]
    if '--launcher' in kept:
        place = kept.index('--launcher')
        launcher = kept[place + 1]
        del kept[place : place + 2]
        if launcher == 'slurm':
            return 'the same tools/slurm_train.sh command and --resume'
        if local_processes not in (None, processes):
            return 'the same command on each machine with --resume'
        return shlex.join(['tools/dist_train.sh', kept[0], str(processes), *kept[1:], '--resume'])
    return shlex.join(['python', 'tools/train.py', *kept, '--resume'])


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    with processes_ended():
        run_command(lambda: train(args))


def train(args: argparse.Namespace) -> None:
    config = build_config(args)
    try:
        runner = RUNNERS.build(config)
        runner.train()
    except SystemExit as stop:
        if stop.code in [128 + number for number in SIGNALS]:
            # Set by torchrun.
            local = int(os.environ.get('LOCAL_WORLD_SIZE', runner.world_size))
            runner.logger.info(f'Resume with: {resume_command(sys.argv[1:], runner.world_size, local)}')
            runner.host_exchange.wait()
        raise
    except TypeError as error:
        explanation = explain_type_error(error, config.to_dict())
        if explanation is None:
            raise
        raise ValueError(explanation) from error


if __name__ == '__main__':
    main()
