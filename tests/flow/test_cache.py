"""The cache of computed flow: one file per pair, size and estimator; complete or absent."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from udass.flow import DISFlow, FlowCache, numbered_pairs, read_flow, write_flow


class Counted:
    """An estimator whose flow tells the mean of the first frame; not a multiple of 1/64."""

    concurrent, key = True, 'counted'

    def __init__(self):
        self.calls = 0

    def __call__(self, first, second):
        self.calls += 1
        return np.full((*first.shape[:2], 2), first[..., 0].mean() / 100, np.float32)


def write_frame(path, red, size=(40, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Noise, so that another content has another length in bytes.
    picture = np.random.default_rng(red).integers(0, 2, (*size, 3)).astype(np.uint8)
    picture[..., 2] = red
    cv2.imwrite(str(path), picture)
    return path


@pytest.fixture
def frames(tmp_path):
    return [write_frame(tmp_path / 'data/seq' / f'{number:05d}.png', red) for number, red in ((1, 101), (0, 50))]


@pytest.fixture
def cache(tmp_path):
    return FlowCache(tmp_path / 'flow', Counted(), root=tmp_path / 'data')


def test_computes_once_and_returns_what_it_will_read(cache, frames):
    assert not cache.has(*frames)
    computed = cache(*frames)
    assert cache.has(*frames)
    again = cache(*frames)
    assert np.array_equal(computed, again)
    assert cache.estimator.calls == 1
    # In steps of 1/64 pixel, from red, not blue.
    assert computed[0, 0, 0] == round(1.01 * 64) / 64
    assert np.array_equal(read_flow(cache.path(*frames))[0], computed)


def test_the_path_tells_the_pair_the_size_and_the_estimator(cache, frames, tmp_path):
    path = cache.path(*frames, size=(20, 32)).relative_to(tmp_path / 'flow')
    assert path.parent.as_posix() == 'counted/32x20/seq'
    assert path.name.startswith('00001_00000_')
    paths = {
        cache.path(*frames),
        path,
        cache.path(*reversed(frames)),
        cache.path(frames[0], frames[0]),
        FlowCache(tmp_path / 'flow', DISFlow()).path(*frames),
    }
    assert len(paths) == 5
    assert cache(*frames, size=(20, 32)).shape == (20, 32, 2)


def test_other_frames_under_the_same_name_are_computed_again(cache, frames):
    before = cache(*frames)
    write_frame(frames[0], 200)
    assert not cache.has(*frames)
    assert cache(*frames)[0, 0, 0] > before[0, 0, 0]


def test_data_and_cache_move_together(cache, frames, tmp_path):
    cache(*frames)
    (tmp_path / 'data').rename(tmp_path / 'moved')
    moved = FlowCache(tmp_path / 'flow', Counted(), root=tmp_path / 'moved')
    assert moved.has(*(tmp_path / 'moved/seq' / frame.name for frame in frames))


def test_a_damaged_file_is_computed_again(cache, frames):
    flow = cache(*frames)
    path = cache.path(*frames)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.warns(UserWarning, match=f'computing the flow again: .*{path.name} .*is cut off'):
        assert np.array_equal(cache(*frames), flow)
    assert np.array_equal(read_flow(path)[0], flow)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_without_a_folder_that_can_be_written(frames, tmp_path):
    without = FlowCache(None, Counted())
    (tmp_path / 'file').write_text('in the way')
    blocked = FlowCache(tmp_path / 'file', Counted())
    with pytest.warns(UserWarning, match='computed flow cannot be stored') as warned:
        flows = [blocked(*frames), blocked(*frames), without(*frames)]
    assert len(warned) == 1
    assert np.array_equal(flows[0], flows[2])
    assert blocked.estimator.calls == 2
    assert without.path(*frames) is None
    assert not without.has(*frames)


def test_bad_frames_are_named(cache, frames, tmp_path):
    with pytest.raises(FileNotFoundError, match='frame .*00009.png does not exist'):
        cache(frames[0], tmp_path / '00009.png')
    other = write_frame(tmp_path / 'data/seq/00007.png', 3, size=(30, 64))
    with pytest.raises(ValueError, match='no flow from .*00001.png to .*00007.png: .* got 64x40 and 64x30'):
        FlowCache(None, DISFlow())(frames[0], other)
    other.write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'00007.png \(10 bytes\) cannot be decoded'):
        cache(frames[0], other)


def _fill(cache, frames):
    return float(cache(*frames).sum())


def test_processes_share_a_folder(frames, tmp_path):
    cache = FlowCache(tmp_path / 'flow', dict(type='DISFlow'))
    # As loader workers are started.
    with ProcessPoolExecutor(2, get_context('fork'), initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        sums = list(pool.map(_fill, [cache] * 6, [frames] * 6))
    assert len(set(sums)) == 1
    assert [file.name for file in cache.path(*frames).parent.iterdir()] == [cache.path(*frames).name]


@pytest.mark.parametrize('size', [None, (20, 32)])
def test_a_file_of_another_size_is_refused(cache, frames, size):
    flow = cache(*frames, size)
    path = cache.path(*frames, size)
    write_flow(path, np.ones((flow.shape[0] + 4, flow.shape[1], 2), np.float32))
    with pytest.warns(UserWarning, match=f'computing the flow again: .*{path.name} has .* pixels, its frames'):
        assert np.array_equal(cache(*frames, size), flow)
    assert np.array_equal(cache(*frames, size), flow)


def test_a_full_disk_stops_no_flow(cache, frames, monkeypatch):
    def full(*arguments):
        raise OSError(28, 'No space left on device')

    expected = cache(*frames)
    cache.path(*frames).unlink()
    monkeypatch.setattr('os.replace', full)
    with pytest.warns(UserWarning, match='computed flow cannot be stored .*No space left'):
        assert np.array_equal(cache(*frames), expected)
    assert list(cache.path(*frames).parent.iterdir()) == []


def test_a_pipe_is_no_frame(cache, frames, tmp_path):
    os.mkfifo(tmp_path / 'data/seq/00002.png')
    with pytest.raises(FileNotFoundError, match='frame .*00002.png does not exist'):
        cache(tmp_path / 'data/seq/00002.png', frames[0])
    pairs = numbered_pairs(tmp_path / 'data')
    assert [[path.rsplit('/', 1)[1] for path in pair] for pair in pairs] == [['00001.png', '00000.png']]


def test_frames_with_names_that_are_not_utf_8(cache, tmp_path):
    folder = tmp_path / 'data' / os.fsdecode(b'f\xfc\xdf')
    folder.mkdir(parents=True)
    frames = [folder / os.fsdecode(b'\xe9%d.png' % number) for number in (1, 0)]
    for number, path in enumerate(frames):
        path.write_bytes(cv2.imencode('.png', np.full((40, 64, 3), number, np.uint8))[1].tobytes())
    assert np.array_equal(cache(*frames), cache(*frames)) and cache.estimator.calls == 1
