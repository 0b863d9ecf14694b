"""What the command-line tools share: short error messages, and an orderly end on a signal."""

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from udass.engine.interrupt import drop_broken_streams

_USER_ERRORS = (ValueError, TypeError, KeyError, OSError, NotImplementedError, FloatingPointError)


def run_command(main: Callable[[], None]) -> None:
    """Runs a tool; an error ends it with one message and status 1, Ctrl-C with status 130, SIGTERM with 143.

    With UDASS_DEBUG=1 in the environment, which --debug sets, errors keep their traceback.
    """
    process = os.getpid()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be UTF-8; stderr is forgiving by itself.
        sys.stdout.reconfigure(errors='backslashreplace')

    def terminate(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # A forked worker: its parent gets the signal as well, and decides.
            os._exit(0)
        raise _Terminated

    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        main()
    except _Terminated:
        sys.stderr.write('\nTerminated.\n')
        sys.exit(143)
    except KeyboardInterrupt:
        sys.stderr.write('\nAborted.\n')
        sys.exit(130)
    except Exception as error:
        if os.environ.get('UDASS_DEBUG') == '1':
            raise
        # Those of other kinds are seldom written for people: the kind says something, too.
        kind = '' if isinstance(error, _USER_ERRORS) else f'{type(error).__name__}: '
        sys.exit(f'error: {kind}{short_message(error)}\n(--debug or UDASS_DEBUG=1 shows where it happened)')
    finally:
        drop_broken_streams()
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous)


class _Terminated(BaseException):
    """SIGTERM outside the training loop. Not an Exception, so that nothing swallows it."""


def short_message(error: BaseException) -> str:
    """The message of an error, without the traceback that a dataloader worker wraps around it."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = str(text).strip()
    if 'Original Traceback' in text:
        # The last unindented "SomeError: message" is what the worker raised.
        raised = re.split(r'\n(?=[\w.]*(?:Error|Exception)\b)', text)[-1]
        text = raised.split(': ', 1)[-1].strip()
    return text or type(error).__name__
