"""Loaders that die or hang: the state is saved, the run ends, and the message says what was missing."""

import os
import resource
import signal
import time
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from tests.engine.test_interrupted_waits import PAUSE
from tests.engine.toys import build_runner, same_weights, toy_config, train
from udass.engine.checkpoint import latest_checkpoint
from udass.engine.data_loader import explain_loader_error


class KillWorker(Hook):
    """Sends a loader worker a signal in the middle of an iteration."""

    def __init__(self, iteration, signum):
        self.iteration, self.signum = iteration, signum

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            worker = active_children()[0]
            os.kill(worker.pid, self.signum)
            # Torch's handler runs meanwhile, if it is let.
            while (
                Path(f'/proc/{worker.pid}/stat').read_text().split()[2] != 'Z'
                or len(os.listdir(f'/proc/{worker.pid}/task')) > 1
            ):
                time.sleep(0.01)
            time.sleep(0.1)


@pytest.mark.parametrize(
    'signum, message',
    [
        (signal.SIGKILL, 'killed from outside.*want of memory.*fewer workers'),
        (signal.SIGBUS, '/dev/shm is full.*--shm-size'),
    ],
)
def test_a_dead_worker_spoils_no_iteration_and_the_run_can_be_resumed(signum, message, toy_root, tmp_path):
    whole = train(toy_config(toy_root, tmp_path / 'whole', val_begin=1000))
    config = toy_config(toy_root, tmp_path / 'run', num_workers=1, val_begin=1000)
    runner = build_runner(config)
    runner.register_hook(KillWorker(3, signum))
    with pytest.raises(ChildProcessError, match=message):
        runner.train()
    assert runner.iter == 3 == len(runner.model.seen)
    assert latest_checkpoint(tmp_path / 'run') == tmp_path / 'run' / 'iter_3.pth'
    # The other workers are gone, too, though their error lives on.
    assert not any(worker.join(timeout=20) or worker.is_alive() for worker in active_children())
    resumed = train(config, resume=True)
    assert runner.model.seen + resumed.model.seen == whole.model.seen and same_weights(resumed.model, whole.model)


@pytest.mark.slow
def test_a_worker_that_hangs_ends_the_run_after_the_timeout(toy_root, tmp_path):
    whole = train(toy_config(toy_root, tmp_path / 'whole', max_iters=4, val_begin=1000))
    config = toy_config(toy_root, tmp_path / 'run', max_iters=4, num_workers=1, val_begin=1000)
    late = f'{whole.model.seen[3]["target"][1]}.png'
    pause = dict(type='Pause', mark=str(tmp_path / 'mark'), name=late)
    config.train_dataloader.target.dataset.pipeline.insert(0, pause)
    config.train_dataloader.target.timeout = 5
    runner = build_runner(config)
    assert PAUSE > 100
    with pytest.raises(ChildProcessError, match='no batch for that long.*timed out after 5 seconds'):
        runner.train()
    assert latest_checkpoint(tmp_path / 'run') == tmp_path / 'run' / f'iter_{runner.iter}.pth' and runner.iter < 4


def test_loaders_with_workers_have_a_timeout_by_default(toy_root, tmp_path):
    runner = build_runner(toy_config(toy_root, tmp_path, num_workers=1))
    runner.cfg.val_dataloader.num_workers = 1
    assert [loader.timeout for loader in runner.train_dataloader.loaders.values()] == [600, 600]
    assert runner.val_dataloader.timeout == 0


class FewDescriptors(Hook):
    """Leaves this process a single file that it may open."""

    def __init__(self):
        self.opened = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == 3:
            most = max(int(name) for name in os.listdir('/proc/self/fd'))
            resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            with suppress(OSError):
                while True:
                    self.opened.append(os.open(os.devnull, os.O_RDONLY))
            os.close(self.opened.pop())


def test_too_few_descriptors(toy_root, tmp_path):
    limits, hook = resource.getrlimit(resource.RLIMIT_NOFILE), FewDescriptors()
    runner = build_runner(toy_config(toy_root, tmp_path, num_workers=1, max_iters=20, val_begin=1000))
    runner.register_hook(hook)
    try:
        with pytest.raises(ChildProcessError, match='too few file descriptors.*ulimit -n.*num_workers'):
            runner.train()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in hook.opened:
            os.close(descriptor)
    assert latest_checkpoint(tmp_path) == tmp_path / f'iter_{runner.iter}.pth' and 3 <= runner.iter < 20


@pytest.mark.parametrize(
    'error, message',
    [
        (ConnectionResetError(104, 'Connection reset by peer'), 'killed from outside'),
        (EOFError(), 'killed from outside'),
        (
            RuntimeError(
                'unable to open shared memory object </torch_1_2_3> in read-write mode: Too many open files (24)'
            ),
            'descriptors',
        ),
        (RuntimeError('received 0 items of ancdata'), 'descriptors'),
        (RuntimeError('unable to write to file </torch_1_2_3>: No space left on device (28)'), 'shared memory'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Segmentation fault. '), 'compiled code'),
        (RuntimeError('DataLoader worker (pid(s) 7, 8) exited unexpectedly'), 'killed from outside'),
    ],
)
def test_torch_is_translated(error, message):
    assert message in str(explain_loader_error(error))


def test_other_errors_stay_as_they_are():
    error = OSError(28, 'No space left on device', '/data/iter_4.pth')
    assert explain_loader_error(error) is error
