"""Signals during training: flags that are read between iterations instead of exceptions inside one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What ends a training in order: Ctrl-C, a cluster's end of job, a closed terminal, and a cluster's warning before it.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Interrupted(BaseException):
    """The training is to stop at a point where its state is whole. Not an Exception, so that nothing swallows it."""


class InterruptGuard:
    """Context manager that turns the first of ``SIGNALS`` into a flag.

    An exception out of a signal handler can hit between two parameters of an optimizer step, and what a handler writes
    can fail: in ``train.py | tee log`` the same Ctrl-C ends tee. A Ctrl-C after the first signal raises
    KeyboardInterrupt: at once, or when a file that is being saved is whole. Other signals repeat themselves and mean
    nothing new; a SIGHUP that was ignored before (``nohup``) stays ignored. The exception by which torch reports a dead
    loader worker is let out only while the training waits for loaders, see :meth:`waiting`. Outside the main thread,
    where Python allows no signal handlers, the guard does nothing.

    Attributes:
        signum (int | None): the signal that came, None before.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._second_interrupt = self._saving = self._immediate = self._worker_ended = False
        self._process = os.getpid()
        self._previous: dict[int, Callable | int | None] = {}

    def __enter__(self) -> 'InterruptGuard':
        if threading.current_thread() is threading.main_thread():
            ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            numbers = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
            self._previous = {number: signal.signal(number, self._handle) for number in numbers}
            self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._note_child)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @contextmanager
    def waiting(self, immediate: bool = True) -> Iterator[None]:
        """To be put around waiting for loaders: inside, a dead worker raises torch's RuntimeError and, if
        ``immediate``, a signal :class:`Interrupted` at once (one that came before on entry), for work that changes
        nothing of the training."""
        watched = signal.SIGCHLD in self._previous
        if watched:
            signal.signal(signal.SIGCHLD, self._previous[signal.SIGCHLD])
        try:
            self._immediate = immediate
            if immediate and self.signum is not None:
                raise Interrupted
            if self._worker_ended and callable(self._previous[signal.SIGCHLD]):
                self._previous[signal.SIGCHLD](signal.SIGCHLD, None)
            self._worker_ended = False
            yield
        finally:
            self._immediate = False
            if watched:
                # Torch sets its handler when it first starts workers.
                self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._note_child)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """To be put around the writing of a file: a second Ctrl-C waits until the file is whole."""
        outer, self._saving = self._saving, True
        try:
            yield
        finally:
            self._saving = outer
        if self._second_interrupt and not outer:
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked loader worker that inherited this handler, see `ignore_signals`.
            if signum == signal.SIGTERM:
                os._exit(0)
        elif self.signum is None:
            self.signum = signum
            if self._immediate:
                raise Interrupted
        elif signum == signal.SIGINT:
            self._second_interrupt = True
            if not self._saving:
                raise KeyboardInterrupt

    def _note_child(self, signum: int, frame: FrameType | None) -> None:
        self._worker_ended = True


def ignore_signals() -> None:
    """Makes a loader worker ignore ``SIGNALS``, but for SIGTERM, which ends it with status 0."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(0))
