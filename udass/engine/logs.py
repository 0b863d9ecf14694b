"""What goes to the terminal and what only to the log file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_only(logger: logging.Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Inside, the terminal shows only what is at least as grave as ``level``; log files get everything."""
    terminals = [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    ]
    previous = [handler.level for handler in terminals]
    for handler in terminals:
        handler.setLevel(max(level, handler.level))
    try:
        yield
    finally:
        for handler, before in zip(terminals, previous, strict=True):
            handler.setLevel(before)
