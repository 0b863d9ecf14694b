"""Who writes into a work dir: one training at a time, and no new one over the checkpoints of another."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.logging import print_log

from udass.engine.checkpoint import has_checkpoint

_LOCK = '.lock'


@contextmanager
def locked(work_dir: Path) -> Iterator[None]:
    """Inside, no other training runs in the folder, on this machine or on another that shares it.

    The lock is the kernel's: it ends with its process, however that ends, so that a stale file is simply taken over.
    The file holds the owner's name.

    Raises:
        ValueError: another training has the lock.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / _LOCK, 'a+') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise ValueError(
                f'another training runs in {work_dir}: {file.read().strip() or "owner unknown"}. Wait for '
                'it, end it, or choose another --work-dir'
            ) from error
        except OSError as error:
            print_log(
                f'{work_dir} cannot be locked ({error.strerror}): see to it that no other training writes there',
                logger='current',
                level=logging.WARNING,
            )
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()} since {time.strftime("%Y-%m-%d %H:%M:%S")}\n')
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def check_unused(work_dir: Path, resume: bool, load_from: str | None) -> None:
    """Whether a training may write its checkpoints into a folder.

    Args:
        work_dir (Path): the folder.
        resume (bool): whether the training goes on from a checkpoint.
        load_from (str | None): that checkpoint; None is the newest of the folder.

    Raises:
        ValueError: the folder holds checkpoints of a training that this one does not go on with.
    """
    if not has_checkpoint(work_dir) or (resume and load_from is None):
        return
    if not resume:
        raise ValueError(
            f'{work_dir} holds the checkpoints of another training, which would be overwritten. --resume '
            'goes on with it; for a new training choose another --work-dir, or delete this one'
        )
    if Path(load_from).resolve().parent != work_dir.resolve():
        raise ValueError(
            f'{work_dir} holds checkpoints already, which a training that goes on from {load_from} would '
            'overwrite. --resume without a file goes on from the newest of them; to go on from '
            f'{load_from}, choose another --work-dir'
        )
