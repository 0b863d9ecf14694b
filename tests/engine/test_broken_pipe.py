"""``train.py | tee log`` and Ctrl-C, which ends tee first; and a second Ctrl-C while the checkpoint is written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.toys import toy_config
from udass.engine.checkpoint import damage_of, latest_checkpoint

PROJECT = Path(__file__).parents[2]
# A training whose steps and whose writing take a while, and say so in files.
SLOW = """
import sys, time
from pathlib import Path
from tests.engine.toys import ToyAdapter
from udass.cli.main import main
from udass.engine.runner import Runner
step, save = ToyAdapter.train_step, Runner.save_checkpoint

def slow_step(self, data, optim_wrapper):
    log = step(self, data, optim_wrapper)
    Path(sys.argv[4], 'stepping').touch()
    time.sleep(0.2)
    return log

def slow_save(self, *args, **options):
    Path(sys.argv[4], 'saving').touch()
    time.sleep(2)
    save(self, *args, **options)

ToyAdapter.train_step, Runner.save_checkpoint = slow_step, slow_save
main()
"""


@pytest.fixture()
def training(toy_root, tmp_path):
    """A running training whose output goes through ``tee``, and tee."""
    config = toy_config(toy_root, tmp_path, max_iters=500, val_begin=1000)
    config.default_hooks.checkpoint.interval = 1000
    config.default_hooks.logger.interval = 1
    config.log_level = 'INFO'
    config.dump(tmp_path / 'toy.py')
    train = subprocess.Popen(
        [sys.executable, '-c', SLOW, 'train', str(tmp_path / 'toy.py'), '--work-dir', str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=PROJECT,
        env={**os.environ, 'PYTHONPATH': str(PROJECT)},
        start_new_session=True,
    )
    tee = subprocess.Popen(['tee', str(tmp_path / 'log')], stdin=train.stdout, stdout=subprocess.DEVNULL)
    train.stdout.close()
    wait_for(tmp_path / 'stepping', train)
    yield train, tee
    train.kill()
    train.wait()
    tee.wait()


def wait_for(path, process):
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, path
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_that_also_ends_the_reader_of_the_log_saves(training, tmp_path):
    train, tee = training
    tee.send_signal(signal.SIGINT)
    tee.wait()
    train.send_signal(signal.SIGINT)
    assert train.wait(timeout=120) == 130
    assert damage_of(latest_checkpoint(tmp_path)) is None
    log = next(tmp_path.glob('2*/*.log')).read_text()
    assert 'Interrupted by SIGINT: saving' in log and 'Resume with: ' in log and 'Error' not in log


@pytest.mark.slow
def test_a_second_ctrl_c_ends_when_the_file_is_whole(training, tmp_path):
    train, tee = training
    train.send_signal(signal.SIGINT)
    wait_for(tmp_path / 'saving', train)
    train.send_signal(signal.SIGINT)
    assert train.wait(timeout=120) == 130
    tee.wait()
    assert damage_of(latest_checkpoint(tmp_path)) is None
    assert 'Aborted.' in (tmp_path / 'log').read_text()
