"""Write files atomically: they appear whole or not at all, whoever else writes to their folder."""

import contextlib
import errno
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

# Temporary files and folders, for Path.glob; the names say which process of which machine made them.
TEMPORARY = '.*.part'
_TEMPORARY = re.compile(r'\.(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{32}\.part')
# Whether a process of another machine still runs is not known here. Its files are removed when they are so old.
_MAX_SECONDS = 24 * 3600
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path; the file written there takes the place of ``path`` when the block ends without an error.

    The folder of ``path`` is made, and temporary files that killed processes left there are removed. ``durable`` waits
    until the file is on the disk, so that it survives a power failure. An OSError leaves a file that was there before.
    """
    temporary = temporary_path(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(path.parent, os.getpid())
        yield temporary
        if durable:
            _synchronize(temporary)
        os.replace(temporary, path)
        if durable:
            _synchronize(path.parent)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OSError(_no_room(error.errno, path, temporary)) from error
        # The temporary name means nothing to the user, and errors of writing name no file.
        if error.errno is not None and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; see ``atomic_path`` for folders and errors."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see ``atomic_path`` for folders and errors."""
    write_bytes(path, text.encode())


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write an image (H, W) or (H, W, 3) BGR in the format of its suffix; see ``atomic_path``."""
    # cv2.imwrite leaves half a file on a full disk, gives no reason, and takes no names that are not UTF-8.
    write_bytes(path, cv2.imencode(path.suffix, pixels)[1].tobytes())


def temporary_path(folder: Path) -> Path:
    """A name in a folder that no other call uses, on other machines too."""
    return folder / f'.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.part'


@lru_cache(maxsize=4096)
def remove_orphans(folder: Path, process: int) -> None:
    """Remove the temporary files and folders of processes that have ended; once per ``process`` and folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            # Files of other users, and files that another process removes at this moment, are left alone.
            with contextlib.suppress(OSError):
                if match is not None and _is_orphan(entry, match['host'], int(match['process'])):
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)


def _is_orphan(entry: os.DirEntry, host: str, process: int) -> bool:
    if host != socket.gethostname():
        return time.time() - entry.stat().st_mtime > _MAX_SECONDS
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # It runs as another user.
        return False
    return False


def _synchronize(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_room(number: int, path: Path, temporary: Path) -> str:
    written = temporary.stat().st_size if temporary.is_file() else 0
    free = shutil.disk_usage(path.parent).free
    return (
        f'{path} could not be written: {os.strerror(number)} after {written / 1e6:.1f} MB, {free / 1e6:.1f} MB are '
        f'free in {path.parent}. The files written before are untouched. Make room there (or raise the quota), then '
        'give the same command again; training goes on with --resume'
    )
