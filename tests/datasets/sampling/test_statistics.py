"""Class statistics: exact counts, kept, refreshed, shared."""

import errno
import json
import os
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.datasets.conftest import SceneFolder
from udass.datasets import check_dataset, class_statistics
from udass.datasets.sampling import statistics
from udass.io.writing import temporary_path


@pytest.fixture
def counted(monkeypatch):
    """Names of the label files that are counted, in this order."""
    names = []
    count = statistics.count_pixels

    def remember(path, *args):
        names.append(os.path.basename(path))
        return count(path, *args)

    monkeypatch.setattr(statistics, 'count_pixels', remember)
    return names


def caches(folder):
    return sorted(folder.rglob('class_statistics_*.json'))


def test_counts_are_exact(filled_scenes):
    found = class_statistics(filled_scenes.build())
    assert found.pixels.shape == (12, 3)
    assert found.pixels[:4].tolist() == [[550, 16, 4], [566, 0, 4], [550, 16, 4], [570, 0, 0]]
    assert found.ignored.tolist() == [30] * 12
    assert found.areas().tolist() == [600] * 12
    np.testing.assert_allclose(found.frequencies(), [6732 / 6840, 96 / 6840, 12 / 6840])


def test_counts_follow_the_label_table(filled_scenes):
    found = class_statistics(filled_scenes.build(label_table={0: 255, 1: 0, 2: 1, 255: 255}))
    assert found.pixels[0].tolist() == [16, 4, 0]
    assert found.ignored[0] == 580


def test_labels_of_16_and_32_bits(scenes):
    # Pillow recognises a format by content; only TIFF holds 32 bits (older versions of it read 16-bit PNG so, too).
    for name, kind, file_format in (('a', np.uint16, 'PNG'), ('b', np.int32, 'TIFF')):
        scenes.add(name, np.zeros((2, 3), np.uint8))
        labels = Image.fromarray(np.array([[1, 300, 300], [1, 1, 1]], kind))
        labels.save(scenes.root / 'labels' / f'{name}.png', format=file_format)
    found = class_statistics(scenes.build(label_table={1: 0, 300: 2}))
    assert found.pixels.tolist() == [[4, 0, 2]] * 2


def test_second_use_reads_the_cache(filled_scenes, counted, said):
    first = class_statistics(filled_scenes.build())
    assert sorted(counted) == [f'{i:02d}.png' for i in range(12)]
    assert [line for line in said if line.startswith('Counting the classes of ') and line.endswith(': 12 files')]
    counted.clear()
    said.clear()
    second = class_statistics(filled_scenes.build())
    assert counted == [] and not [line for line in said if line.startswith('Counting')]
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_only_what_changed_is_counted_again(filled_scenes, counted):
    class_statistics(filled_scenes.build())
    counted.clear()
    filled_scenes.add('03', np.ones((20, 30), np.uint8))
    filled_scenes.add('12', np.full((20, 30), 2, np.uint8))
    found = class_statistics(filled_scenes.build())
    assert sorted(counted) == ['03.png', '12.png']
    assert found.pixels[[2, 3, 12]].tolist() == [[550, 16, 4], [0, 600, 0], [0, 0, 600]]


def test_a_change_of_equal_size_is_noticed(filled_scenes):
    path = filled_scenes.root / 'labels' / '03.png'
    class_statistics(filled_scenes.build())
    size = path.stat().st_size
    labels = np.zeros((20, 30), np.uint8)
    labels[-1] = 254
    cv2.imwrite(str(path), labels)
    assert path.stat().st_size == size
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r'03\.png holds the label ids \[254\]'):
        class_statistics(filled_scenes.build())


def test_another_table_is_counted_by_itself(filled_scenes, counted):
    class_statistics(filled_scenes.build())
    counted.clear()
    changed = class_statistics(filled_scenes.build(label_table={0: 1, 1: 0, 2: 2, 255: 255}))
    assert len(counted) == 12
    assert changed.pixels[0].tolist() == [16, 550, 4]
    assert class_statistics(filled_scenes.build()).pixels[0].tolist() == [550, 16, 4]
    assert len(counted) == 12


def test_subsets_share_the_cache(filled_scenes, counted):
    class_statistics(filled_scenes.build(indices=[3, 1]))
    found = class_statistics(filled_scenes.build())
    assert len(counted) == 12
    np.testing.assert_array_equal(class_statistics(filled_scenes.build(indices=[3, 1])).pixels, found.pixels[[3, 1]])
    assert len(caches(filled_scenes.root)) == 1


@pytest.mark.parametrize('content', ['', '{"a', '[1]', '{"00.png": 3}'])
def test_a_damaged_cache_is_replaced(filled_scenes, counted, content):
    expected = class_statistics(filled_scenes.build()).pixels
    caches(filled_scenes.root)[0].write_text(content)
    np.testing.assert_array_equal(class_statistics(filled_scenes.build()).pixels, expected)
    assert len(counted) == 24
    assert len(json.loads(caches(filled_scenes.root)[0].read_text())) == 12


def test_a_read_only_data_folder_is_left_alone(filled_scenes, counted, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    before = sorted(filled_scenes.root.iterdir())
    filled_scenes.root.chmod(0o555)
    try:
        for _ in range(2):
            class_statistics(filled_scenes.build())
        assert sorted(filled_scenes.root.iterdir()) == before
    finally:
        filled_scenes.root.chmod(0o755)
    assert len(counted) == 12
    assert len(caches(tmp_path / 'cache' / 'udass')) == 1


def test_a_given_cache_folder_is_used(filled_scenes, tmp_path):
    class_statistics(filled_scenes.build(), cache_folder=str(tmp_path / 'mine'))
    assert caches(filled_scenes.root) == []
    assert len(caches(tmp_path / 'mine')) == 1


def test_without_any_place_for_the_cache_it_still_counts(filled_scenes, counted, tmp_path):
    (tmp_path / 'file').write_text('')
    for _ in range(2):
        found = class_statistics(filled_scenes.build(), cache_folder=str(tmp_path / 'file'))
    assert found.pixels[0].tolist() == [550, 16, 4]
    assert len(counted) == 24


def test_of_several_at_once_one_counts(filled_scenes, counted):
    # A lock belongs to the opened file, so threads wait for each other as processes do.
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: class_statistics(filled_scenes.build()).pixels, range(4)))
    assert len(counted) == 12
    assert all((one == found[0]).all() for one in found)


def test_an_unusable_label_is_named_and_nothing_is_kept(filled_scenes):
    (filled_scenes.root / 'labels' / '07.png').write_bytes(b'\x89PNG')
    with pytest.raises(ValueError, match=r'07\.png .*cannot be decoded as a label'):
        class_statistics(filled_scenes.build())
    assert caches(filled_scenes.root) == []


def test_no_statistics_without_labels(filled_scenes):
    with pytest.raises(ValueError, match=r'UDADataset is used without labels \(labelled=False\)'):
        class_statistics(filled_scenes.build(labelled=False))


def test_data_without_a_single_labelled_pixel(scenes):
    scenes.add('a', np.full((4, 4), 255, np.uint8))
    with pytest.raises(ValueError, match='no pixel of the data set has a class: check that label_table'):
        class_statistics(scenes.build()).frequencies()


def test_a_changed_digit_is_noticed(filled_scenes, counted):
    expected = class_statistics(filled_scenes.build()).pixels
    path = caches(filled_scenes.root)[0]
    content = path.read_bytes()
    assert content.count(b'550, 16, 4') == 2
    path.write_bytes(content.replace(b'550, 16, 4', b'950, 16, 4', 1))
    np.testing.assert_array_equal(class_statistics(filled_scenes.build()).pixels, expected)
    assert len(counted) == 13


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    texts = []
    monkeypatch.setattr(statistics, 'print_log', lambda text, **_: texts.append(text))
    return texts


def test_classes_that_no_label_shows_are_named(filled_scenes, said):
    class_statistics(filled_scenes.build())
    assert len(said) == 1 and said.pop().startswith('Counting')
    # As a binary mask of 0 and 255, where 255 was meant as a class.
    class_statistics(filled_scenes.build(label_table={0: 0, 1: 255, 2: 255, 255: 255}))
    assert 'no label has tree, lamp (2 of 3 classes)' in said[-1] and 'label_table' in said[-1]


def test_a_full_disk_stops_no_statistics(filled_scenes, counted, said, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr('os.replace', full)
    found = class_statistics(filled_scenes.build())
    assert found.pixels[0].tolist() == [550, 16, 4] and len(counted) == 12
    assert said[-1].count('No space left on device') == 2
    assert check_dataset(filled_scenes.build()).pixels.tolist() == [6732, 96, 12]
    assert not list(tmp_path.rglob('*.part')) and not list(tmp_path.rglob('*.tmp'))


needs_root = pytest.mark.skipif(os.getuid() != 0, reason='only root can act as other users')


@pytest.fixture
def shared_scenes():
    """As `filled_scenes`, in a folder that everybody may read and write; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        scenes = SceneFolder(Path(folder, 'scenes'))
        for number in range(3):
            scenes.add(f'{number:02d}', np.full((20, 30), number, np.uint8))
        scenes.root.chmod(0o777)
        yield scenes


def as_user(number: int, home: Path, call) -> str:
    """What ``call`` returns or raises in a process of another user, as text."""
    home.mkdir(exist_ok=True)
    os.chown(home, number, number)
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.setgid(number)
            os.setuid(number)
            os.umask(0o022)
            os.environ['XDG_CACHE_HOME'] = str(home)
            answer = repr(call())
        except BaseException as error:
            answer = f'{type(error).__name__}: {error}'
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(process, 0)
    with open(reading, encoding='utf-8') as file:
        return file.read()


@needs_root
@pytest.mark.parametrize('mode', [0o777, 0o1777, 0o555])
def test_users_share_a_folder(shared_scenes, mode):
    """Also a sticky one, in which nobody replaces the files of others, and one that is read-only for all."""
    root, homes = shared_scenes.root, shared_scenes.root.parent
    root.chmod(mode)

    def count():
        return class_statistics(shared_scenes.build()).pixels.sum(axis=0).tolist()

    def check():
        return check_dataset(shared_scenes.build()).problems, count()

    assert as_user(1001, homes / 'first', count) == '[600, 600, 600]'
    assert as_user(1002, homes / 'second', check) == '([], [600, 600, 600])'
    shared_scenes.add('02', np.full((20, 30), 1, np.uint8))
    assert as_user(1002, homes / 'second', count) == '[600, 1200, 0]'
    assert as_user(1001, homes / 'first', check) == '([], [600, 1200, 0])'
    assert not [path for path in homes.rglob('.*') if path.is_file()]


def test_what_a_killed_process_left_is_removed(filled_scenes):
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    mine = temporary_path(filled_scenes.root)
    orphan, running = (
        mine.with_name(mine.name.replace(f'-{os.getpid()}-', f'-{number}-')) for number in (process, os.getppid())
    )
    elsewhere = mine.with_name(mine.name.replace(socket.gethostname(), 'another-machine'))
    old = elsewhere.with_name(elsewhere.name.replace('another', 'forgotten'))
    for path in (orphan, running, elsewhere, old):
        path.touch()
    os.utime(old, (0, 0))
    class_statistics(filled_scenes.build())
    assert sorted(filled_scenes.root.glob('.*.part')) == sorted([running, elsewhere])
