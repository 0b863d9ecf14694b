"""Files that appear whole or not at all, whoever else writes to their folder."""

import contextlib
import os
import re
import shutil
import socket
import time
import uuid
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

_TEMPORARY = re.compile(r'\.(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{32}\.part')
# Files of processes on other machines, of which nobody here knows whether they still run.
_OLD = 24 * 3600


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and then rename it, so that readers and other writers never meet half of it.

    The folder is made. What processes that were killed have left there is removed.

    Raises:
        OSError: the file could not be written; what stood there before is untouched.
    """
    temporary = temporary_path(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(path.parent, os.getpid())
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        # It is the file that the user knows, not the temporary one.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write pixels (H, W) or (H, W, 3) BGR as an image of the kind that the end of the name says; see ``write_whole``.

    Raises:
        OSError: the file could not be written.
    """
    # Not imwrite: it leaves half a file on a full disk, says not why, and takes no names that are not UTF-8.
    write_whole(path, cv2.imencode(path.suffix, pixels)[1].tobytes())


def temporary_path(folder: Path) -> Path:
    """A name for a file in a folder that no other process, on other machines too, and no other call uses."""
    return folder / f'.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.part'


@lru_cache(maxsize=4096)
def remove_orphans(folder: Path, process: int) -> None:
    """Remove what is named by ``temporary_path`` and whose process has gone; once per process and folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            # Another user's file, or one that somebody else removes at this moment, is not ours to care for.
            with contextlib.suppress(OSError):
                if match is not None and _is_orphan(entry, match['host'], int(match['process'])):
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)


def _is_orphan(entry: os.DirEntry, host: str, process: int) -> bool:
    if host != socket.gethostname():
        return time.time() - entry.stat().st_mtime > _OLD
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # It runs, for another user.
        return False
    return False
