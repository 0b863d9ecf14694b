"""Files appear whole or not at all."""

import errno

import pytest

from udass.io.writing import atomic_path


def test_a_failure_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    with pytest.raises(OSError, match='disk full'), atomic_path(path) as temporary:
        temporary.write_text('half of the n')
        raise OSError('disk full')
    assert path.read_text() == 'old'
    with atomic_path(path) as temporary:
        temporary.write_text('new')
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_so_and_leaves_what_was_there(tmp_path):
    path = tmp_path / 'iter_4.pth'
    path.write_text('old')
    message = (
        r'iter_4.pth could not be written: No space left on device after 0.0 MB, .* MB are free in .*files written '
        r'before are untouched.* with --resume'
    )
    with pytest.raises(OSError, match=message), atomic_path(path) as temporary:
        temporary.write_text('half of the n')
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]
