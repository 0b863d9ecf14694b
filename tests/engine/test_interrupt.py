import os
import signal
import time

import pytest
from torch.multiprocessing import get_context

from udass.engine.data_loader import start_worker
from udass.engine.interrupt import SIGNALS, Interrupted, InterruptGuard


def test_the_first_signal_is_a_flag_a_ctrl_c_after_it_an_exception():
    before = signal.getsignal(signal.SIGINT)
    with InterruptGuard() as guard:
        assert guard.signum is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert guard.signum == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize('signum', SIGNALS)
def test_signals_write_nothing_and_may_repeat_themselves(signum, capfd):
    with InterruptGuard() as guard:
        os.kill(os.getpid(), signum)
        os.kill(os.getpid(), signal.SIGHUP)
        assert guard.signum == signum
    assert capfd.readouterr() == ('', '')


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with InterruptGuard() as guard:
            os.kill(os.getpid(), signal.SIGHUP)
            assert guard.signum is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_waits_for_the_file_that_is_being_saved():
    done = []
    with InterruptGuard() as guard, pytest.raises(KeyboardInterrupt), guard.saving():
        with guard.saving():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append('file')
        done.append('record')
    assert done == ['file', 'record']


def test_where_nothing_can_be_left_half_done_the_first_signal_ends_it():
    with InterruptGuard() as guard, guard.waiting(), pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGINT)
    assert guard.signum == signal.SIGINT


def test_a_dead_worker_is_reported_only_while_loaders_are_waited_for():
    def report(signum, frame):
        raise RuntimeError('a worker is dead')

    before = signal.signal(signal.SIGCHLD, report)
    try:
        with InterruptGuard() as guard:
            child = os.fork()
            if child == 0:
                os._exit(1)
            os.waitpid(child, 0)
            time.sleep(0.05)
            with pytest.raises(RuntimeError, match='a worker is dead'), guard.waiting():
                pass
        assert signal.getsignal(signal.SIGCHLD) is report
    finally:
        signal.signal(signal.SIGCHLD, before)


def _worker(ready, started):
    start_worker(started.append, 3)
    ready.put(started)
    time.sleep(60)


def test_a_loader_worker_survives_ctrl_c_and_leaves_quietly_on_sigterm():
    context = get_context('fork')
    ready = context.Queue()
    process = context.Process(target=_worker, args=(ready, []))
    process.start()
    assert ready.get(timeout=20) == [3]
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGTERM)
    process.join(timeout=20)
    assert process.exitcode == 0
