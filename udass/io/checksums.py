"""Checksums that decoders do not compare by themselves: those of checkpoints and of PNG files.

Checkpoints of this project end with a checksum of the whole file: the comment of the zip file, which torch.load
ignores as it does the zip file's own. A PNG file has a checksum per chunk (PNG specification, section 5.3).
"""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile

_MARK, _DIGITS = b'udass-crc32:', 8
_COMMENT_SIZE = len(_MARK) + _DIGITS
# How a zip file starts, and the record that ends one without a comment.
_START, _END, _END_SIZE = b'PK', b'PK\x05\x06', 22
_BLOCK = 2**20
_PNG_START, _PNG_LAST_CHUNK = b'\x89PNG\r\n\x1a\n', b'IEND'


def add_checksum(path: Path) -> None:
    """Add the checksum to a file of torch.save; ValueError if it is no zip file, or has a comment already."""
    with open(path, 'r+b') as file:
        if not _ends_without_comment(file):
            raise ValueError(f'{path} is not a zip file without a comment, as torch.save writes it')
        file.seek(-2, os.SEEK_END)
        file.write(_COMMENT_SIZE.to_bytes(2, 'little') + _MARK)
        file.write(_checksum(file, file.tell()))


def check_checksum(path: Path) -> None:
    """Compare a checkpoint file with its checksums: one over all bytes in files of this project, one per member in zip
    files of other programs; ValueError or zipfile.BadZipFile if it is damaged. Other files have none and are not read.
    """
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise ValueError('it is empty')
        file.seek(max(0, size - _COMMENT_SIZE))
        comment = file.read()
        if comment.startswith(_MARK):
            if comment[len(_MARK) :] != _checksum(file, size - _DIGITS):
                raise ValueError('its checksum is wrong')
            return
        file.seek(0)
        if file.read(len(_START)) != _START:
            return
        # A comment, or the rest of one, is a damaged checksum of ours.
        if not _ends_without_comment(file):
            raise ValueError('it is cut off, or its end is damaged')
    with ZipFile(path) as archive:
        member = archive.testzip()
    if member is not None:
        raise ValueError(f'the checksum of {member} is wrong')


def is_damaged_png(content: bytes) -> bool:
    """Whether the content of a file starts as a PNG file and is cut off, or differs from one of its checksums."""
    if not content.startswith(_PNG_START):
        return False
    place, kind = len(_PNG_START), b''
    view = memoryview(content)
    while kind != _PNG_LAST_CHUNK:
        if place + 12 > len(content):
            return True
        length, kind = struct.unpack_from('>I4s', content, place)
        # The checksum is that of the kind and the data.
        end = place + 8 + length
        if end + 4 > len(content) or zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4], 'big'):
            return True
        place = end + 4
    return False


def _ends_without_comment(file: BinaryIO) -> bool:
    """Whether a file ends as a zip file without a comment."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SIZE))
    end = file.read()
    return end.startswith(_END) and end.endswith(b'\0\0')


def _checksum(file: BinaryIO, size: int) -> bytes:
    """CRC-32 of the first ``size`` bytes as hexadecimal digits; leaves the file at the end of these bytes."""
    file.seek(0)
    value, left = 0, size
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        value, left = zlib.crc32(block, value), left - len(block)
    return f'{value:0{_DIGITS}x}'.encode()
