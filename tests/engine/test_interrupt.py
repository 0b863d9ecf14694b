import os
import signal
import time

import pytest
from torch.multiprocessing import get_context

from udass.engine.interrupt import Interrupted, InterruptGuard, start_worker


def test_the_first_signal_is_a_flag_the_second_an_exception():
    before = signal.getsignal(signal.SIGINT)
    with InterruptGuard() as guard:
        assert guard.signum is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert guard.signum == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_where_nothing_can_be_left_half_done_the_first_signal_ends_it():
    with InterruptGuard() as guard, guard.immediate(), pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGINT)
    assert guard.signum == signal.SIGINT


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
