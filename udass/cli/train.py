"""Train a network as a config describes it."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmseg.registry import RUNNERS

from udass.cli import explained_type_errors
from udass.cli.progress import progress
from udass.engine.checkpoint import has_checkpoint, latest_checkpoint
from udass.engine.config import config_name, load_config
from udass.engine.distributed import processes_ended
from udass.engine.interrupt import SIGNALS


def train(
    config: str | Path | Config,
    *,
    work_dir: str | Path | None = None,
    resume: bool | str | Path = False,
    options: Mapping[str, object] | None = None,
    seed: int | None = None,
    amp: str | None = None,
    deterministic: bool = False,
    launcher: str = 'none',
    resume_command: str = 'the same call with resume=True',
) -> Path:
    """Train; a signal saves a checkpoint, logs how to go on, and ends the process. Returns the last checkpoint.

    Args:
        config: a config file, the name of a published config, or a config that was read.
        work_dir: folder for logs and checkpoints; None is that of the config, or ``work_dirs/<name of the config>``.
        resume: True goes on from the latest checkpoint of the work dir, if there is one; a path from that checkpoint.
        options: settings that replace those of the config: dotted key -> value.
        seed: of every random stream; None is that of the config.
        amp: ``'bf16'`` or ``'fp16'`` for mixed precision; None is as in the config.
        deterministic: use deterministic algorithms on the GPU, which are slower.
        launcher: how processes start: ``'none'``, ``'pytorch'`` or ``'slurm'``.
        resume_command: logged after an interrupt.
    """
    settings = build_config(config, work_dir, resume, options, seed, amp, deterministic, launcher)
    with processes_ended(), explained_type_errors(settings.to_dict()):
        runner = RUNNERS.build(settings)
        try:
            with progress(runner):
                runner.train()
        except SystemExit as stop:
            if stop.code in [128 + number for number in SIGNALS]:
                runner.logger.info(f'Resume with: {resume_command}')
                runner.host_exchange.wait()
            raise
        return latest_checkpoint(Path(runner.work_dir))


def build_config(
    source: str | Path | Config,
    work_dir: str | Path | None = None,
    resume: bool | str | Path = False,
    options: Mapping[str, object] | None = None,
    seed: int | None = None,
    amp: str | None = None,
    deterministic: bool = False,
    launcher: str = 'none',
) -> Config:
    """The config of a training with everything that the arguments of `train` change."""
    config = load_config(source, options)
    if work_dir is not None or config.get('work_dir') is None:
        config.work_dir = str(work_dir or Path('work_dirs') / config_name(source))
    config.launcher = launcher
    if seed is not None:
        config.randomness['seed'] = seed
    if deterministic:
        # cuBLAS needs this to be deterministic, and before it starts.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        config.randomness['deterministic'] = True
        config.env_cfg['cudnn_benchmark'] = False
    if amp is not None:
        config.amp = amp
    if resume is not True and resume:
        config.resume, config.load_from = True, str(resume)
    elif resume and (has_checkpoint(Path(config.work_dir)) or config.get('load_from') is None):
        # Otherwise this is the first start of a command with --resume: it starts from load_from.
        config.resume, config.load_from = True, None
    return config


def command_to_resume(arguments: Sequence[str]) -> str:
    """The command that continues an interrupted ``udass train`` with these arguments."""
    rest = [argument for argument in arguments if not argument.startswith('--resume=')]
    if '--launcher' in rest:
        return 'the same command with --resume, on each machine'
    if '--resume' in rest:
        place = rest.index('--resume')
        # argparse takes whatever follows as its value, if that is no option.
        has_value = place + 1 < len(rest) and not rest[place + 1].startswith('-')
        del rest[place : place + 1 + has_value]
    return shlex.join(['udass', 'train', *rest, '--resume'])


def run(args: argparse.Namespace) -> None:
    """``udass train``."""
    resume = args.resume == 'latest' or args.resume or False
    same = {name: getattr(args, name) for name in ('work_dir', 'seed', 'amp', 'deterministic', 'launcher')}
    command = command_to_resume(args.arguments)
    train(args.config, resume=resume, options=args.cfg_options, resume_command=command, **same)
