"""Files of a data set, unpacked or still inside the zip files that it is published in.

A path below the data root names the unpacked file. Where there is none, it names the member of a zip file that lies in
the nearest existing folder above: ``data/gta/images/00001.png`` may be ``images/00001.png`` of
``data/gta/01_images.zip``. A folder at the top of a zip file may be left out of the path. Unpacked files go before
packed ones.
"""
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from udass.errors import DamagedFileError


def read_file(path: str) -> bytes:
    """Content of a file.

    Raises:
        FileNotFoundError: it is neither unpacked nor in a zip file.
        DamagedFileError: its zip file is damaged.
    """
    if Path(path).is_file():
        return Path(path).read_bytes()
    archive, member = _find(path)
    try:
        return _opened(archive, os.getpid()).read(member)
    except BadZipFile as error:
        raise DamagedFileError(f'{member} in {archive} is damaged ({error}): download the zip file again') from error


def file_stamp(path: str) -> list[int]:
    """What changes when a file does: size in bytes, and time of change in nanoseconds (of its zip file, if in one)."""
    if Path(path).is_file():
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    archive, member = _find(path)
    return [_opened(archive, os.getpid()).getinfo(member).file_size, os.stat(archive).st_mtime_ns]


def files_below(folder: str) -> list[str] | None:
    """Paths of all files below a folder, relative to it and with '/'; None if it is neither there nor in a zip file."""
    if Path(folder).is_dir():
        return [Path(parent, file).relative_to(folder).as_posix()
                for parent, _, files in os.walk(folder, followlinks=True) for file in files]
    root, below = _nearest_folder(folder)
    prefix = below + '/'
    found = [name.removeprefix(prefix) for name in _members(root) if name.startswith(prefix)]
    return found or None


def _find(path: str) -> tuple[str, str]:
    """Zip file and member that a path stands for."""
    root, below = _nearest_folder(path)
    try:
        return _members(root)[below]
    except KeyError:
        raise FileNotFoundError(f'{path} does not exist, neither as a file nor in a zip file in {root}') from None


def _nearest_folder(path: str) -> tuple[str, str]:
    """The nearest existing folder above a path, and the path below it."""
    parent = next(parent for parent in Path(os.path.abspath(path)).parents if parent.is_dir())
    return str(parent), Path(os.path.abspath(path)).relative_to(parent).as_posix()


@lru_cache(maxsize=16)
def _members(folder: str) -> Mapping[str, tuple[str, str]]:
    """Path -> (zip file, member) of all that the zip files in a folder hold.

    Raises:
        ValueError: a zip file is damaged.
    """
    found: dict[str, tuple[str, str]] = {}
    for archive in sorted(Path(folder).glob('*.zip')):
        for name in _names(archive):
            found.setdefault(name, (str(archive), name))
            _, _, below = name.partition('/')
            if below:
                found.setdefault(below, (str(archive), name))
    return found


def _names(archive: Path) -> Iterator[str]:
    try:
        with ZipFile(archive) as file:
            yield from (name for name in file.namelist() if not name.endswith('/'))
    except BadZipFile as error:
        raise ValueError(f'{archive} is no readable zip file ({error}): download it again, or move it away') from error


@lru_cache(maxsize=64)
def _opened(archive: str, process: int) -> ZipFile:
    """A zip file, opened once per process: a forked loader worker must not share its position with others."""
    return ZipFile(archive)
