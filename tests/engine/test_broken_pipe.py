"""``train.py | tee log`` and Ctrl-C, which ends tee first; and a second Ctrl-C while the checkpoint is written."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.engine.toys import ToyAdapter, toy_config
from udass.cli.main import main
from udass.engine.checkpoint import damage_of, latest_checkpoint

PROJECT = Path(__file__).parents[2]


def slow_training(folder):
    """A training of ``folder/toy.py`` whose steps and whose writing take a while, and say so in files."""
    step, save = ToyAdapter.train_step, Runner.save_checkpoint

    def slow_step(self, data, optim_wrapper):
        log = step(self, data, optim_wrapper)
        Path(folder, 'stepping').touch()
        time.sleep(0.2)
        return log

    def slow_save(self, *args, **options):
        Path(folder, 'saving').touch()
        time.sleep(2)
        save(self, *args, **options)

    ToyAdapter.train_step, Runner.save_checkpoint = slow_step, slow_save
    main(['train', f'{folder}/toy.py', '--work-dir', str(folder)])


@pytest.fixture
def folder(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path, max_iters=500, val_begin=1000)
    config.default_hooks.checkpoint.interval = 1000
    config.default_hooks.logger.interval = 1
    config.log_level = 'INFO'
    config.dump(tmp_path / 'toy.py')
    return tmp_path


def wait_for(path, is_running):
    end = time.monotonic() + 120
    while not path.exists():
        assert is_running() and time.monotonic() < end, path
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_that_also_ends_the_reader_of_the_log_saves(folder):
    code = f'from tests.engine.test_broken_pipe import slow_training; slow_training({str(folder)!r})'
    train = subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': str(PROJECT)},
        start_new_session=True,
    )
    tee = subprocess.Popen(['tee', str(folder / 'log')], stdin=train.stdout, stdout=subprocess.DEVNULL)
    try:
        train.stdout.close()
        wait_for(folder / 'stepping', lambda: train.poll() is None)
        tee.send_signal(signal.SIGINT)
        tee.wait()
        train.send_signal(signal.SIGINT)
        assert train.wait(timeout=120) == 130
    finally:
        train.kill()
    assert damage_of(latest_checkpoint(folder)) is None
    log = next(folder.glob('2*/*.log')).read_text()
    assert 'Interrupted by SIGINT: saving' in log and 'Resume with: ' in log and 'Error' not in log


@pytest.mark.slow
def test_a_second_ctrl_c_ends_when_the_file_is_whole(folder, capfd):
    train = multiprocessing.get_context('fork').Process(target=slow_training, args=(folder,))
    train.start()
    try:
        for mark in ('stepping', 'saving'):
            wait_for(folder / mark, train.is_alive)
            os.kill(train.pid, signal.SIGINT)
        train.join(120)
        assert train.exitcode == 130
    finally:
        train.kill()
    assert damage_of(latest_checkpoint(folder)) is None
    assert 'Aborted.' in ''.join(capfd.readouterr())
