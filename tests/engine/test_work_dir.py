"""One training per work dir, and no new one over the checkpoints of another."""

import multiprocessing
import os
import signal
import time

import pytest

from tests.engine.toys import build_runner, toy_config, train
from udass.engine.checkpoint import check_unused, locked

FORK = multiprocessing.get_context('fork')


def hold(folder, has_worker=False):
    """Starts another process that locks a folder, in a session of its own with its worker."""
    held = FORK.Event()
    process = FORK.Process(target=_hold, args=(folder, held, has_worker))
    process.start()
    assert held.wait(60)
    return process


def _hold(folder, held, has_worker):
    os.setsid()
    with locked(folder):
        if not has_worker or os.fork() > 0:
            held.set()
        time.sleep(60)


@pytest.fixture()
def owner(tmp_path):
    """Another process that holds the lock of ``tmp_path``."""
    process = hold(tmp_path)
    yield process
    process.kill()
    process.join()


def test_a_second_training_is_refused_and_the_owner_named(owner, toy_root, tmp_path):
    with pytest.raises(ValueError, match=rf'another training runs in .*: process {owner.pid} on .* since 20'):
        build_runner(toy_config(toy_root, tmp_path)).train()
    assert not list(tmp_path.glob('*.pth'))


def test_a_stale_lock_is_taken_over(owner, tmp_path):
    owner.kill()
    owner.join()
    assert f'process {owner.pid} on' in (tmp_path / '.lock').read_text()
    with locked(tmp_path):
        assert f'process {os.getpid()} on' in (tmp_path / '.lock').read_text()
    assert (tmp_path / '.lock').read_text() == ''


def test_workers_that_outlive_a_killed_training_do_not_hold_its_lock(tmp_path):
    process = hold(tmp_path, has_worker=True)
    process.kill()
    process.join()
    with locked(tmp_path):
        os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_with_checkpoints_needs_resume(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path / 'run', max_iters=2)
    train(config)
    saved = (tmp_path / 'run' / 'iter_2.pth').stat()
    with pytest.raises(ValueError, match='holds the checkpoints of another training.*--resume continues it'):
        train(config)
    assert (tmp_path / 'run' / 'iter_2.pth').stat() == saved
    assert train(config, resume=True).iter == 2
    other = tmp_path / 'other'
    check_unused(other, resume=False, load_from=None)
    check_unused(other, resume=True, load_from=str(tmp_path / 'run' / 'iter_2.pth'))
    check_unused(tmp_path / 'run', resume=True, load_from=str(tmp_path / 'run' / 'iter_2.pth'))
    with pytest.raises(ValueError, match='--resume without a file goes on from the newest'):
        check_unused(tmp_path / 'run', resume=True, load_from=str(other / 'iter_2.pth'))
