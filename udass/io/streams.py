"""The standard streams of a process, and what of a log goes to them."""

import logging
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

# Lines of mmengine that matter when something is looked up, and then are in the log file.
_DETAILS = ('Distributed training is not used', 'Hooks will be executed', 'Exp name:')


def terminals(logger: logging.Logger) -> list[logging.StreamHandler]:
    """The handlers of a logger that write to a stream and not to a file."""
    streams = [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]
    return [handler for handler in streams if not isinstance(handler, logging.FileHandler)]


@contextmanager
def file_only(logger: logging.Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Inside, the terminal gets only messages of at least ``level``; log files get everything."""
    levels = {handler: handler.level for handler in terminals(logger)}
    for handler, before in levels.items():
        handler.setLevel(max(level, before))
    try:
        yield
    finally:
        for handler, before in levels.items():
            handler.setLevel(before)


def leave_out_details(logger: logging.Logger) -> None:
    """Keep lines that say nothing to most users out of the terminal; log files get them."""
    for handler in terminals(logger):
        handler.addFilter(lambda record: not record.getMessage().startswith(_DETAILS))


def drop_broken_streams() -> bool:
    """Redirects stdout and stderr to nowhere where they lead to a pipe or terminal that is gone: otherwise each line of
    the log is an error, and the last flush changes the exit status to 120. Returns whether one was gone."""
    found = False
    for descriptor in (1, 2):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            found = True
    return found
