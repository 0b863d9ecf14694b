"""The commands of this project, a module each, and what they share: options, error messages, the end on a signal.

Each module has ``parser()``, ``run(args)`` and ``main(arguments)``; tools/*.py call the latter. ``--help`` is quick:
what takes seconds to import is imported in functions.
"""

import argparse
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_USER_ERRORS = (ValueError, TypeError, KeyError, OSError, NotImplementedError, FloatingPointError)


class UsageError(Exception):
    """Arguments that do not go together: ends a command with its usage and status 2."""


def new_parser(description: str, example: str, **options: object) -> argparse.ArgumentParser:
    """A parser with ``--debug``; ``example`` is a command line below ``tools/``."""
    parser = argparse.ArgumentParser(description=description, epilog=f'example: python tools/{example}', **options)
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser


def add_settings(parser: argparse.ArgumentParser, name: str = '--cfg-options', whose: str = 'the config') -> None:
    """An option for settings ``KEY=VALUE`` that replace those of a config."""
    text = f'settings that replace those of {whose}'
    parser.add_argument(name, nargs='+', action=_Settings, metavar='KEY=VALUE', help=text)


class _Settings(argparse.Action):
    """mmengine's DictAction, which is imported when it is used."""

    def __call__(self, parser: object, namespace: object, values: object, option_string: str | None = None) -> None:
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_strings(parser: argparse.ArgumentParser, whose: str) -> None:
    """The same option for commands that hand the settings on as they are."""
    text = f'settings that replace those of {whose}'
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help=text)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how processes start')


def command(
    parser: Callable[[], argparse.ArgumentParser], run: Callable[[argparse.Namespace], object]
) -> Callable[[Sequence[str] | None], None]:
    """The ``main`` of a command, which takes the arguments of the command line by default.

    Args:
        run: gets the parsed arguments, and in ``arguments`` those that were given.
    """

    def main(arguments: Sequence[str] | None = None) -> None:
        given, own = list(sys.argv[1:] if arguments is None else arguments), parser()
        args = own.parse_args(given, argparse.Namespace(arguments=given))
        if args.debug:
            os.environ['UDASS_DEBUG'] = '1'
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names of files need not be UTF-8; stderr is forgiving by itself.
            sys.stdout.reconfigure(errors='backslashreplace')
        try:
            with errors_as_messages():
                run(args)
        except UsageError as error:
            own.error(str(error))

    return main


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """An error ends the program with one message and status 1, Ctrl-C with status 130, SIGTERM with 143.

    With ``--debug``, or UDASS_DEBUG=1 in the environment, errors keep their traceback.
    """
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
        # Those of other kinds are seldom written for people: the kind says something, too.
        kind = '' if isinstance(error, _USER_ERRORS) else f'{type(error).__name__}: '
        sys.exit(f'error: {kind}{short_message(error)}\n(--debug or UDASS_DEBUG=1 shows where it happened)')
    finally:
        from udass.engine.interrupt import drop_broken_streams

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
