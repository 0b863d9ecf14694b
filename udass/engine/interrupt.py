"""Ctrl-C and SIGTERM during training: a flag that is read between iterations instead of an exception inside one."""
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = '\nInterrupted: saving a checkpoint as soon as the state is whole. A second interrupt aborts at once.\n'


class Interrupted(BaseException):
    """Training was asked to stop at a point where its state is whole. Not an Exception, so that nothing swallows it."""


class InterruptGuard:
    """Context manager that turns the first SIGINT or SIGTERM into a flag.

    An exception out of a signal handler can hit between two parameters of an optimizer step; the flag cannot. The
    second signal raises KeyboardInterrupt wherever the program is. Outside the main thread, where Python allows no
    signal handlers, the guard does nothing.

    Attributes:
        signum (int | None): the signal that came, None before.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._immediate = False
        self._process = os.getpid()
        self._previous: dict[int, Callable | int | None] = {}

    def __enter__(self) -> 'InterruptGuard':
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Inside, a signal raises :class:`Interrupted` at once, one that came before on entry.

        For work that changes nothing of the training: a validation, waiting for the loaders' workers.
        """
        self._immediate = True
        try:
            if self.signum is not None:
                raise Interrupted
            yield
        finally:
            self._immediate = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked loader worker that inherited this handler, see `start_worker`.
            if signum == signal.SIGTERM:
                os._exit(0)
            return
        if self.signum is not None:
            raise KeyboardInterrupt
        self.signum = signum
        # Loggers and buffered streams are not safe to use inside a signal handler; a plain write is.
        os.write(sys.__stderr__.fileno(), _NOTICE.encode())
        if self._immediate:
            raise Interrupted


def start_worker(init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    """Worker start of a dataloader: leaves the decision about an interrupt to the training process.

    A terminal sends Ctrl-C to the workers as well, and a cluster its SIGTERM. A worker that died of it would raise an
    error in the training process, possibly inside an optimizer step; one that ignores it, or leaves with status 0,
    does not.

    Args:
        init_fn (Callable | None): what the worker does besides (seeding).
        worker_id (int): its number, from torch.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(0))
    if init_fn is not None:
        init_fn(worker_id)
