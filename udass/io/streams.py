"""The standard streams of a process."""

import os
import select


def drop_broken_streams() -> None:
    """Redirects stdout and stderr to nowhere where they lead to a pipe or terminal that is gone.

    Otherwise each line of the log is an error, and the last flush changes the exit status to 120.
    """
    for descriptor in (1, 2):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
