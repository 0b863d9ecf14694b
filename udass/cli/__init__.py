"""The commands of this project, a module each, and what they share: error messages, the end on a signal."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from udass.io.streams import drop_broken_streams

_USER_ERRORS = (ValueError, TypeError, KeyError, OSError, NotImplementedError, FloatingPointError)


class UsageError(ValueError):
    """Arguments that do not go together: ends a command with its usage and status 2."""


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """An error ends the program with one message and status 1, Ctrl-C with status 130, SIGTERM with 143. With
    ``--debug``, or UDASS_DEBUG=1 in the environment, errors keep their traceback."""
    try:
        with _sigterm_raises():
            yield
    except _Terminated:
        sys.stderr.write('\nTerminated.\n')
        sys.exit(143)
    except KeyboardInterrupt:
        sys.stderr.write('\nAborted.\n')
        sys.exit(130)
    except Exception as error:
        if os.environ.get('UDASS_DEBUG') == '1' or isinstance(error, UsageError):
            raise
        if isinstance(error, BrokenPipeError) and drop_broken_streams():
            # `udass configs | head`: whoever reads has had enough. 128 + SIGPIPE, as of other programs.
            sys.exit(141)
        # Those of other kinds are seldom written for people: the kind says something, too.
        kind = '' if isinstance(error, _USER_ERRORS) else f'{type(error).__name__}: '
        sys.exit(f'error: {kind}{short_message(error)}\n(--debug or UDASS_DEBUG=1 shows where it happened)')
    finally:
        drop_broken_streams()


class _Terminated(BaseException):
    """SIGTERM outside the training loop. Not an Exception, so that nothing swallows it."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    process = os.getpid()

    def terminate(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # A forked worker: its parent gets the signal as well, and decides.
            os._exit(0)
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def short_message(error: BaseException) -> str:
    """The message of an error, without the traceback that a dataloader worker wraps around it."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    if 'Original Traceback' in text:
        # The last unindented "SomeError: message" is what the worker raised.
        raised = re.split(r'\n(?=[\w.]*(?:Error|Exception)\b)', text)[-1]
        text = raised.split(': ', 1)[-1].strip()
    return text or type(error).__name__


@contextmanager
def explained_type_errors(config: Mapping) -> Iterator[None]:
    """Name the config key behind an argument that a component does not take, in a ValueError."""
    try:
        yield
    except TypeError as error:
        from udass.engine.config import explain_type_error

        explanation = explain_type_error(error, config)
        if explanation is None:
            raise
        raise ValueError(explanation) from error


def write_json(path: str | Path, content: object) -> None:
    """Write a JSON file whole or not at all; the folder is made."""
    from udass.io.writing import write_text

    write_text(Path(path), json.dumps(content, indent=1) + '\n')
