"""What the command-line tools share: short error messages."""
import os
import re
import sys
from collections.abc import Callable

_USER_ERRORS = (ValueError, TypeError, KeyError, OSError, NotImplementedError)


def run_command(main: Callable[[], None]) -> None:
    """Runs a tool; an error ends it with one message and status 1, Ctrl-C with status 130.

    With UDASS_DEBUG=1 in the environment errors keep their traceback.
    """
    if os.environ.get('UDASS_DEBUG') == '1':
        main()
        return
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write('\nAborted.\n')
        sys.exit(130)
    except _USER_ERRORS as error:
        sys.exit(f'error: {short_message(error)}\n(UDASS_DEBUG=1 shows where it happened)')


def short_message(error: BaseException) -> str:
    """The message of an error, without the traceback that a dataloader worker wraps around it."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = str(text).strip()
    if 'Original Traceback' in text:
        # The last unindented "SomeError: message" is what the worker raised.
        raised = re.split(r'\n(?=[\w.]*(?:Error|Exception)\b)', text)[-1]
        text = raised.split(': ', 1)[-1].strip()
    return text or type(error).__name__
