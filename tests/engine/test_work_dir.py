"""One training per work dir, and no new one over the checkpoints of another."""

import os
import signal
import subprocess
import sys

import pytest

from tests.engine.toys import build_runner, toy_config, train
from udass.engine.checkpoint import check_unused, locked

HOLD = """
import os, sys, time
from pathlib import Path
from udass.engine.checkpoint import locked
with locked(Path(sys.argv[1])):
    # The parent alone says so: the lines of both could run into each other.
    if sys.argv[2] == 'alone' or os.fork() > 0:
        print('locked', flush=True)
    time.sleep(60)
"""


def hold(folder, how='alone'):
    """Starts another process that locks a folder."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(folder), how], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    # Libraries say something of their own when they are imported.
    assert any(line == 'locked\n' for line in process.stdout)
    return process


@pytest.fixture()
def owner(tmp_path):
    """Another process that holds the lock of ``tmp_path``."""
    process = hold(tmp_path)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_second_training_is_refused_and_the_owner_named(owner, toy_root, tmp_path):
    with pytest.raises(ValueError, match=rf'another training runs in .*: process {owner.pid} on .* since 20'):
        build_runner(toy_config(toy_root, tmp_path)).train()
    assert not list(tmp_path.glob('*.pth'))


def test_a_stale_lock_is_taken_over(owner, tmp_path):
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert f'process {owner.pid} on' in (tmp_path / '.lock').read_text()
    with locked(tmp_path):
        assert f'process {os.getpid()} on' in (tmp_path / '.lock').read_text()
    assert (tmp_path / '.lock').read_text() == ''


@pytest.mark.slow
def test_workers_that_outlive_a_killed_training_do_not_hold_its_lock(tmp_path):
    process = hold(tmp_path, 'fork')
    process.kill()
    process.wait()
    with locked(tmp_path):
        os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_with_checkpoints_needs_resume(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path / 'run', max_iters=2)
    train(config)
    saved = (tmp_path / 'run' / 'iter_2.pth').stat()
    with pytest.raises(ValueError, match='holds the checkpoints of another training.*--resume goes on with it'):
        train(config)
    assert (tmp_path / 'run' / 'iter_2.pth').stat() == saved
    assert train(config, resume=True).iter == 2
    other = tmp_path / 'other'
    check_unused(other, resume=False, load_from=None)
    check_unused(other, resume=True, load_from=str(tmp_path / 'run' / 'iter_2.pth'))
    check_unused(tmp_path / 'run', resume=True, load_from=str(tmp_path / 'run' / 'iter_2.pth'))
    with pytest.raises(ValueError, match='--resume without a file goes on from the newest'):
        check_unused(tmp_path / 'run', resume=True, load_from=str(other / 'iter_2.pth'))
