"""Kills a training, or one of its loader workers, with kill -9 at random moments, resumes it each time, and compares
the end with an uninterrupted run.

    python -m tests.soak_resume --kills 20 --json soak.json

Trains QuadMix with a tiny network on the built-in streets, on the CPU and with loader workers. Weights of student and
teacher, templates, optimizer, schedules, counters and random states of the last checkpoint must be equal bit for bit,
every checkpoint that lies in the work dir after a kill must be whole, and a training whose worker was killed must end
by itself. Ends with status 1 otherwise.
"""

import argparse
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from tqdm import tqdm

from udass.cli import errors_as_messages, write_json
from udass.engine.checkpoint import damage_of
from udass.engine.config import load_config
from udass.io.writing import TEMPORARY
from udass.models.checkpoints import read_checkpoint

CONFIG = Path(__file__).parents[1] / 'configs' / 'streets_quadmix.py'
# What a checkpoint holds of a training, without times and names.
COMPARED = ('state_dict', 'optimizer', 'param_schedulers')
COMPARED_META = ('iter', 'seed', 'random_states', 'skipped_iterations', 'damaged_files')
_FORK = get_context('fork')
# Seconds in which a training must end after it has lost a worker.
_END = 120


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    result = argparse.ArgumentParser(
        prog='python -m tests.soak_resume',
        description='Kill a training at random moments, resume it, compare the end.',
        epilog='example: python -m tests.soak_resume --kills 20 --interval 1',
    )
    add = result.add_argument
    add('--kills', type=int, default=20, help='how often to kill (default: 20)')
    add('--iterations', type=int, default=60, help='length of the training (default: 60)')
    add('--interval', type=int, default=2, help='iterations between two checkpoints (default: 2)')
    add('--workers', type=int, default=1, help='processes per data stream (default: 1)')
    add('--data-root', default='data/streets', metavar='DIR', help='folder of udass streets')
    add('--work-dir', default='work_dirs/soak_resume', metavar='DIR', help='folder; it is emptied')
    add('--seed', type=int, default=0, help='seed of the training and of the moments (default: 0)')
    add('--json', metavar='FILE', help='write the result there')
    add('--debug', action='store_true', help='show tracebacks of errors')
    return result


def soak_config(args: argparse.Namespace, work_dir: Path) -> Config:
    """QuadMix with a network of 0.4 million weights on small crops."""
    config = load_config(CONFIG)
    config.model.student.backbone.name = 'test_resnet'
    config.model.student.decode_head.update(in_channels=[32, 48, 192, 96], channels=16)
    for loader in config.train_dataloader.values():
        loader.num_workers = args.workers
        loader.dataset.data_root = args.data_root
        for transform in loader.dataset.pipeline:
            if transform['type'] == 'RareClassCrop':
                transform['crop_size'] = (64, 96)
    config.train_cfg.update(max_iters=args.iterations)
    config.train_cfg.source_sampling.update(min_pixels=300)
    config.param_scheduler = [dict(type='PolyLR', power=1.0, by_epoch=False, begin=0, end=args.iterations)]
    config.default_hooks.checkpoint.interval = args.interval
    config.default_hooks.logger.interval = 10
    config.update(custom_hooks=[], val_dataloader=None, val_cfg=None, val_evaluator=None, work_dir=str(work_dir))
    config.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    config.randomness.seed = args.seed
    return config


class _Beat(Hook):
    """Tells the parent process how far the training is."""

    def __init__(self, iteration: object) -> None:
        self.iteration = iteration

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        self.iteration.value = runner.iter + 1


def _session(config: Config, iteration: object, log: Path) -> None:
    """One start of the training, in a process of its own that takes its loader workers along when it is killed."""
    os.setsid()
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    # For the process and its workers, whatever the parent had in the place of its streams.
    sys.stdout = sys.stderr = open(log, 'w')  # noqa: SIM115  (until the process ends)
    for descriptor in (1, 2):
        os.dup2(sys.stdout.fileno(), descriptor)
    runner = RUNNERS.build(config)
    runner.register_hook(_Beat(iteration))
    runner.train()


class Session:
    """A running training.

    Args:
        config: of the training; it resumes what is in the work dir.
        number: of the session, for its log.
    """

    def __init__(self, config: Config, number: int) -> None:
        work_dir = Path(config.work_dir)
        work_dir.mkdir(parents=True, exist_ok=True)
        self.log = work_dir / f'session_{number:02d}.log'
        self._iteration = _FORK.Value('i', -1, lock=False)
        # mmengine keeps the loggers of a process by name.
        started = Config(dict(config.to_dict(), resume=True, experiment_name=f'session_{number:02d}'))
        self.process: ForkProcess = _FORK.Process(target=_session, args=(started, self._iteration, self.log))
        self.process.start()

    @property
    def iteration(self) -> int:
        """Iterations that are done, -1 before the first of this session."""
        return self._iteration.value

    def wait(self, iteration: int, bar: tqdm) -> None:
        """Returns when so many iterations are done, or the process has ended."""
        while self.process.is_alive() and self.iteration < iteration:
            time.sleep(0.002)
            _show(bar, self.iteration)
        _show(bar, self.iteration)

    def wait_for_writing(self, work_dir: Path) -> None:
        """Returns when a checkpoint is being written, or the process has ended."""
        while self.process.is_alive() and not any(work_dir.glob(TEMPORARY)):
            time.sleep(0.0005)

    def kill(self) -> bool:
        """kill -9 of the process and its workers; False if it had ended before."""
        if not self.process.is_alive():
            return False
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        return True

    def kill_worker(self, moments: random.Random) -> bool:
        """kill -9 of a loader worker; waits until the training has ended of it. False if it had ended before.

        Raises:
            ValueError: the training goes on or hangs, or did not say what happened.
        """
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        workers = children.read_text().split() if self.process.is_alive() else []
        if not workers:
            return False
        os.kill(int(moments.choice(workers)), signal.SIGKILL)
        self.process.join(timeout=_END)
        if self.process.is_alive():
            self.kill()
            raise ValueError(f'the training did not end within {_END} s after a worker was killed; see {self.log}')
        if self.process.exitcode == 0:
            return False
        if 'a loader worker was killed' not in self.log.read_text():
            raise ValueError(f'the training did not say that a worker was killed; see {self.log}')
        return True

    def finish(self, bar: tqdm) -> None:
        """Waits for the end.

        Raises:
            ValueError: the training failed.
        """
        self.wait(sys.maxsize, bar)
        self.process.join()
        if self.process.exitcode != 0:
            last = self.log.read_text().strip().splitlines()[-1:]
            raise ValueError(f'the training ended with status {self.process.exitcode}: {"".join(last)}; see {self.log}')


def _show(bar: tqdm, iteration: int) -> None:
    if iteration > bar.n:
        bar.update(iteration - bar.n)


def train_whole(config: Config, iterations: int) -> tuple[float, float]:
    """Trains without an interruption; returns the seconds of the start and of an iteration."""
    begin = time.monotonic()
    with tqdm(total=iterations, desc='uninterrupted', unit='iteration') as bar:
        session = Session(config, 0)
        session.wait(1, bar)
        start = time.monotonic() - begin
        session.finish(bar)
    return start, (time.monotonic() - begin - start) / iterations


def train_killed(config: Config, args: argparse.Namespace, start: float, iteration: float) -> list[dict]:
    """Trains with kills at random moments; returns what each of them hit.

    In turn a kill hits a random moment of an iteration, of a start (resuming included), and of the writing of a
    checkpoint; the fourth hits a loader worker alone. The iterations are drawn over the whole training.

    Args:
        start, iteration: seconds that they take.
    """
    moments = random.Random(args.seed)
    targets = sorted(moments.randint(0, args.iterations - 3) for _ in range(args.kills))
    work_dir, kills = Path(config.work_dir), []
    with tqdm(total=args.iterations, desc='killed', unit='iteration') as bar:
        for number, target in enumerate(targets):
            session = Session(config, number)
            aim = ('iteration', 'start', 'writing', 'worker')[number % (4 if args.workers else 3)]
            if aim != 'start':
                # Workers are there from the first iteration on.
                session.wait(max(target, 1), bar)
            if aim == 'writing':
                session.wait_for_writing(work_dir)
            time.sleep(moments.uniform(0, {'start': start, 'writing': 0.02}.get(aim, iteration)))
            reached = session.iteration
            if not (session.kill_worker(moments) if aim == 'worker' else session.kill()):
                session.finish(bar)
                raise ValueError(f'the training ended before kill {number + 1}: choose more --iterations')
            kills.append({'aim': aim, 'after_iteration': None if reached < 0 else reached, **inspect(work_dir)})
            bar.set_postfix(kills=number + 1)
        Session(config, args.kills).finish(bar)
    return kills


def inspect(work_dir: Path) -> dict:
    """What a kill left: checkpoints, those that cannot be read, and whether one was being written."""
    paths = sorted(work_dir.glob('iter_*.pth'), key=lambda path: int(path.stem.removeprefix('iter_')))
    unreadable = [f'{path.name}: {problem}' for path in paths if (problem := _problem(path)) is not None]
    return {
        'checkpoints': [path.name for path in paths],
        'unreadable': unreadable,
        'while_writing': any(work_dir.glob(TEMPORARY)),
    }


def _problem(path: Path) -> str | None:
    problem = damage_of(path)
    if problem is None:
        try:
            read_checkpoint(path)
        except ValueError as error:
            problem = str(error)
    return problem


def training_state(path: Path) -> dict:
    """What must be equal of two runs."""
    checkpoint = read_checkpoint(path)
    state = {key: checkpoint[key] for key in COMPARED}
    return state | {key: checkpoint['meta'].get(key) for key in COMPARED_META}


def differences(first: object, second: object, path: str = '') -> Iterator[str]:
    """Where two nested containers are not equal bit for bit."""
    if type(first) is not type(second):
        yield f'{path}: {type(first).__name__} and {type(second).__name__}'
    elif isinstance(first, dict):
        if first.keys() != second.keys():
            yield f'{path}: keys {sorted(map(str, first.keys() ^ second.keys()))} are in one only'
        for key in first.keys() & second.keys():
            yield from differences(first[key], second[key], f'{path}.{key}'.lstrip('.'))
    elif isinstance(first, (list, tuple)):
        if len(first) != len(second):
            yield f'{path}: {len(first)} and {len(second)} entries'
        for number, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from differences(one, other, f'{path}.{number}')
    elif isinstance(first, torch.Tensor):
        same = first.dtype == second.dtype and first.shape == second.shape
        if not same or first.numpy().tobytes() != second.numpy().tobytes():
            yield f'{path}: tensors of {tuple(first.shape)} and {tuple(second.shape)}'
    elif first != second:
        yield f'{path}: {first!r} and {second!r}'


def count_tensors(node: object) -> int:
    """Number of tensors in nested containers."""
    if isinstance(node, dict):
        return sum(map(count_tensors, node.values()))
    if isinstance(node, (list, tuple)):
        return sum(map(count_tensors, node))
    return int(isinstance(node, torch.Tensor))


def soak(args: argparse.Namespace) -> dict:
    """Both trainings and their comparison.

    Raises:
        ValueError: arguments out of range, or a training that failed.
    """
    if args.kills < 1 or args.iterations < 4 or args.workers < 0:
        raise ValueError(
            f'--kills must be at least 1, --iterations at least 4 and --workers at least 0, got '
            f'{args.kills}, {args.iterations} and {args.workers}'
        )
    # Forked processes must not inherit a thread pool.
    torch.set_num_threads(1)
    folder, start = Path(args.work_dir), time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    times = train_whole(soak_config(args, folder / 'whole'), args.iterations)
    kills = train_killed(soak_config(args, folder / 'killed'), args, *times)
    whole, killed = (training_state(folder / name / f'iter_{args.iterations}.pth') for name in ('whole', 'killed'))
    found = list(differences(whole, killed))
    return {
        'equal': not found,
        'differences': found,
        'tensors': count_tensors(whole),
        'iterations': args.iterations,
        'interval': args.interval,
        'workers_per_stream': args.workers,
        'seed': args.seed,
        'kills': kills,
        'unreadable': [problem for kill in kills for problem in kill['unreadable']],
        'seconds': round(time.monotonic() - start, 1),
        'torch': torch.__version__,
        'machine': f'CPU ({platform.machine()}), {os.cpu_count()} cores',
    }


def run(args: argparse.Namespace) -> None:
    """Run both trainings and print the comparison."""
    result = soak(args)
    kills = result['kills']
    early = sum(kill['after_iteration'] is None for kill in kills)
    writing = sum(kill['while_writing'] for kill in kills)
    workers = sum(kill['aim'] == 'worker' for kill in kills)
    print(
        f'{len(kills)} kills in {result["seconds"]} s: {early} before the first iteration after a start, {writing} '
        f'while a checkpoint was written, {workers} of a loader worker alone.\n'
        f'Unreadable checkpoints: {len(result["unreadable"])}.\n'
        f'Compared with the uninterrupted run: {result["tensors"]} tensors and all counters, '
        f'{len(result["differences"])} differences.'
    )
    if args.json:
        write_json(args.json, result)
    if result['differences'] or result['unreadable']:
        problems = [*result['unreadable'], *result['differences'][:20]]
        sys.exit('\n'.join(['error: the killed run is not what it should be:', *problems]))


if __name__ == '__main__':
    with errors_as_messages():
        run(parser().parse_args())
