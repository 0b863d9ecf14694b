"""Read files of a data set, unpacked or inside the zip files that it is published in.

A path below the data root names the unpacked file. Where there is none, it names the member of a zip file in the
nearest existing folder above: ``data/gta/images/00001.png`` may be ``images/00001.png`` of ``data/gta/01_images.zip``.
A folder at the top of a zip file may be left out of the path.

Hidden files are no part of a data set, as for mmengine: names that start with a dot (``._x.png`` of macOS,
``.ipynb_checkpoints``) and the folders that archivers, file servers and file systems add (``__MACOSX``, ``@eaDir``,
``lost+found``).
"""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from zipfile import ZipFile

from udass.errors import DamagedFileError

_HIDDEN_FOLDERS = ('__MACOSX', '@eaDir', 'lost+found')
# Larger members of zip files are refused before they are unpacked: a few bytes can stand for terabytes of zeros.
MAX_MEMBER_MIB = int(os.environ.get('UDASS_MAX_MEMBER_MIB', '1024'))


def read_file(path: str) -> bytes:
    """Content of a file; FileNotFoundError if it is neither unpacked nor in a zip file, DamagedFileError if its zip
    file is damaged or encrypted, or the file is larger than ``UDASS_MAX_MEMBER_MIB``."""
    if Path(path).is_file():
        return Path(path).read_bytes()
    archive, member = _find(path)
    name = f'{member} in {archive}'
    try:
        info = _opened(archive, os.getpid()).getinfo(member)
    except Exception as error:
        text = f'{name} cannot be found any more ({error}): the zip file has changed. Start again'
        raise DamagedFileError(text) from error
    if info.file_size > MAX_MEMBER_MIB * 2**20:
        raise DamagedFileError(
            f'{name} says that it is {info.file_size / 2**20:.0f} MiB large, more than the {MAX_MEMBER_MIB} MiB that '
            'are unpacked. If that is right, raise the limit with the environment variable UDASS_MAX_MEMBER_MIB'
        )
    if info.flag_bits & 1:
        raise DamagedFileError(f'{name} is encrypted: unpack the zip file with its password')
    try:
        return _opened(archive, os.getpid()).read(info)
    # Each kind of compression has errors of its own for damaged content (zlib.error, lzma.LZMAError, EOFError, ...).
    except Exception as error:
        raise DamagedFileError(f'{name} is damaged ({error}): download the zip file again') from error


def file_stamp(path: str) -> list[int]:
    """Size in bytes and time of change in nanoseconds of a file, or of the zip file that holds it."""
    if Path(path).is_file():
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    archive, member = _find(path)
    return [_opened(archive, os.getpid()).getinfo(member).file_size, os.stat(archive).st_mtime_ns]


def files_below(folder: str) -> list[str] | None:
    """Paths of all files below a folder, relative to it and with '/'; None if it is neither there nor in a zip file.

    Hidden files, pipes, sockets and devices are left out. A link to a folder is followed unless it leads back to a
    folder that it lies in.
    """
    if Path(folder).is_dir():
        return list(_walk(folder, '', ()))
    root, below = _nearest_folder(folder)
    prefix = below + '/'
    return [name.removeprefix(prefix) for name in _members(root) if name.startswith(prefix)] or None


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """The files of a folder and of those below; ``above`` are the identities of the folders that it lies in."""
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, f'{prefix}{entry.name}/', (*above, identity))
        # A dangling link is a file that is missing; reading it reports that.
        elif entry.is_file() or entry.is_symlink() and not os.path.exists(entry.path):
            yield prefix + entry.name


def _is_hidden(name: str) -> bool:
    return name.startswith('.') or name in _HIDDEN_FOLDERS


def _find(path: str) -> tuple[str, str]:
    """Zip file and member that a path names."""
    root, below = _nearest_folder(path)
    try:
        return _members(root)[below]
    except KeyError:
        raise FileNotFoundError(f'{path} does not exist, neither as a file nor in a zip file in {root}') from None


def _nearest_folder(path: str) -> tuple[str, str]:
    """The nearest existing folder above a path, and the path below it."""
    absolute = Path(os.path.abspath(path))
    parent = next(parent for parent in absolute.parents if parent.is_dir())
    return str(parent), absolute.relative_to(parent).as_posix()


@lru_cache(maxsize=16)
def _members(folder: str) -> Mapping[str, tuple[str, str]]:
    """Path -> (zip file, member) of all files in the zip files of a folder; ValueError if one of these is damaged."""
    found: dict[str, tuple[str, str]] = {}
    for archive in sorted(Path(folder).glob('*.zip')):
        if _is_hidden(archive.name) or not archive.is_file():
            continue
        for name in _names(archive):
            for path in (name, name.partition('/')[2]):
                if path:
                    found.setdefault(path, (str(archive), name))
    return found


def _names(archive: Path) -> list[str]:
    """Paths of the files in a zip file."""
    try:
        with ZipFile(archive) as file:
            names = file.namelist()
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f'{archive} is not a readable zip file ({error}): fetch it again, or move it away') from error
    return [name for name in names if not name.endswith('/') and not any(map(_is_hidden, name.split('/')))]


@lru_cache(maxsize=64)
def _opened(archive: str, process: int) -> ZipFile:
    """A zip file, opened once per process: a forked loader worker must not share its position with others."""
    return ZipFile(archive)
