"""The cache of computed flow, read, filled in training and ahead of it: one file per pair, complete or absent."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from udass.flow import (
    DISFlow,
    FlowCache,
    FlowRequest,
    PrecomputedFlow,
    fill,
    numbered_pairs,
    read_flow,
    write_flow,
)


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
    image = np.random.default_rng(red).integers(0, 2, (*size, 3)).astype(np.uint8)
    image[..., 2] = red
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


@pytest.fixture
def frames(tmp_path):
    return [write_frame(tmp_path / 'data/seq' / f'{number:05d}.png', red) for number, red in ((1, 101), (0, 50))]


@pytest.fixture
def cache(tmp_path):
    return FlowCache(tmp_path / 'flow', Counted(), root=tmp_path / 'data')


@pytest.fixture
def requests(tmp_path):
    for number in range(4):
        write_frame(tmp_path / 'video' / f'{number:03d}.png', number)
    cache = FlowCache(tmp_path / 'flow', DISFlow('ultrafast'))
    return [FlowRequest(cache, *pair, None) for pair in numbered_pairs(tmp_path / 'video')]


def test_computes_once_and_returns_what_it_will_read(cache, frames):
    assert not cache.has(*frames)
    computed = cache(*frames)
    assert cache.has(*frames)
    assert np.array_equal(computed, cache(*frames)) and cache.estimator.calls == 1
    # In steps of 1/64 pixel, from red, not blue.
    assert computed[0, 0, 0] == round(1.01 * 64) / 64
    assert np.array_equal(read_flow(cache.path(*frames))[0], computed)


def test_the_path_tells_the_pair_the_size_and_the_estimator(cache, frames, tmp_path):
    path = cache.path(*frames, size=(20, 32)).relative_to(tmp_path / 'flow')
    assert path.parent.as_posix() == 'counted/32x20/seq' and path.name.startswith('00001_00000_')
    pairs = (frames, reversed(frames), (frames[0], frames[0]))
    other = FlowCache(tmp_path / 'flow', DISFlow()).path(*frames)
    assert len({path, other, *(cache.path(*pair) for pair in pairs)}) == 5
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
    flow, path = cache(*frames), cache.path(*frames)
    path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(cache(*frames), flow)
    assert np.array_equal(read_flow(path)[0], flow)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('size', [None, (20, 32)])
def test_a_file_of_another_size_is_computed_again(cache, frames, size):
    flow, path = cache(*frames, size), cache.path(*frames, size)
    write_flow(path, np.ones((flow.shape[0] + 4, flow.shape[1], 2), np.float32))
    assert np.array_equal(cache(*frames, size), flow)
    assert read_flow(path)[0].shape == flow.shape


def test_without_a_folder_that_can_be_written(frames, tmp_path):
    without = FlowCache(None, Counted())
    (tmp_path / 'file').write_text('in the way')
    blocked = FlowCache(tmp_path / 'file', Counted())
    with pytest.warns(UserWarning, match='computed flow cannot be stored') as warned:
        flows = [blocked(*frames), blocked(*frames), without(*frames)]
    assert len(warned) == 1 and blocked.estimator.calls == 2
    assert np.array_equal(flows[0], flows[2])
    assert without.path(*frames) is None and not without.has(*frames)


def test_a_full_disk_stops_no_flow(cache, frames, monkeypatch):
    def full(*arguments):
        raise OSError(28, 'No space left on device')

    expected = cache(*frames)
    cache.path(*frames).unlink()
    monkeypatch.setattr('os.replace', full)
    with pytest.warns(UserWarning, match='computed flow cannot be stored .*No space left'):
        assert np.array_equal(cache(*frames), expected)
    assert list(cache.path(*frames).parent.iterdir()) == []


def test_bad_frames_are_named(cache, frames, tmp_path):
    other = write_frame(tmp_path / 'data/seq/00007.png', 3, size=(30, 64))
    with pytest.raises(ValueError, match='no flow from .*00001.png to .*00007.png: .* got 64x40 and 64x30'):
        FlowCache(None, DISFlow())(frames[0], other)
    other.write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'00007.png \(8 bytes\) cannot be decoded'):
        cache(frames[0], other)
    # A pipe is no frame: reading it would wait for ever.
    os.mkfifo(tmp_path / 'data/seq/00002.png')
    for name in ('00009.png', '00002.png'):
        with pytest.raises(FileNotFoundError, match=f'frame .*{name} does not exist'):
            cache(frames[0], tmp_path / 'data/seq' / name)
    assert len(numbered_pairs(tmp_path / 'data')) == 2


def test_frames_with_names_that_are_not_utf_8(cache, tmp_path):
    folder = tmp_path / 'data' / os.fsdecode(b'f\xfc\xdf')
    frames = [write_frame(folder / os.fsdecode(b'\xe9%d.png' % number), number) for number in (1, 0)]
    assert np.array_equal(cache(*frames), cache(*frames)) and cache.estimator.calls == 1


def _total(cache, frames):
    return float(cache(*frames).sum())


def test_processes_share_a_folder(frames, tmp_path):
    cache = FlowCache(tmp_path / 'flow', dict(type='DISFlow'))
    # As loader workers are started.
    with ProcessPoolExecutor(2, get_context('fork'), initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        sums = list(pool.map(_total, [cache] * 6, [frames] * 6))
    assert len(set(sums)) == 1
    assert [file.name for file in cache.path(*frames).parent.iterdir()] == [cache.path(*frames).name]


def test_pairs_of_numbered_frames(tmp_path):
    """Sequences by folder, prefix, ending and kind, in the order of their numbers whatever the gaps."""
    names = ('a_9.png', 'a_10.png', 'a_12.png', 'b_1.png', 'a_11.jpg', 'cover.png')
    for name in (*names, 'sub/1_left.png', 'sub/2_left.png', 'sub/2_right.png'):
        write_frame(tmp_path / name, 0)
    (tmp_path / 'a_13.txt').write_text('no image')

    def pairs(*steps):
        return [tuple(path.removeprefix(f'{tmp_path}/') for path in pair) for pair in numbered_pairs(tmp_path, steps)]

    left = ('sub/2_left.png', 'sub/1_left.png')
    assert pairs(1) == [('a_10.png', 'a_9.png'), ('a_12.png', 'a_10.png'), left]
    assert pairs(2) == [('a_12.png', 'a_9.png')]
    assert len(pairs(1, 2)) == 4
    with pytest.raises(ValueError, match='holds no numbered images .* with another one 5 before it'):
        pairs(5)
    with pytest.raises(ValueError, match=r'1 or larger, got \[0\]'):
        pairs(0)
    with pytest.raises(FileNotFoundError, match='nowhere is not a folder'):
        numbered_pairs(tmp_path / 'nowhere')


@pytest.mark.parametrize('workers', [1, 3])
def test_fills_and_goes_on(requests, workers):
    totals = []

    def progress(jobs, total):
        totals.append(total)
        return jobs

    # A pair that is requested twice is computed once.
    first = fill([requests[0], requests[0]], workers, progress)
    assert (first.computed, first.present, first.problems) == (1, 0, [])
    second = fill(requests, workers, progress)
    assert (second.computed, second.present) == (2, 1)
    assert totals == [1, 2]
    assert all(request.cache.has(request.current, request.other) for request in requests)


def test_an_interrupt_loses_nothing(requests, tmp_path):
    def interrupted(jobs, total):
        yield next(iter(jobs))
        raise KeyboardInterrupt

    threads = cv2.getNumThreads()
    with pytest.raises(KeyboardInterrupt):
        fill(requests, 2, interrupted)
    assert cv2.getNumThreads() == threads
    assert not list((tmp_path / 'flow').rglob('*.part'))
    done = sum(request.cache.has(request.current, request.other) for request in requests)
    assert done >= 1
    report = fill(requests, 2)
    assert (report.computed, report.present) == (3 - done, done)


def test_problems_are_listed_and_the_rest_is_computed(requests, tmp_path):
    (tmp_path / 'video/003.png').write_bytes(b'damaged')
    lost = FlowRequest(requests[0].cache, requests[0].current, str(tmp_path / 'video/009.png'), None)
    report = fill([*requests, lost])
    assert report.computed == 2
    missing, damaged = report.problems
    assert '009.png does not exist' in missing and '003.png (7 bytes) cannot be decoded' in damaged


def test_a_wrong_setting_does_not_fail_thousands_of_times(requests, tmp_path):
    (tmp_path / 'in_the_way').write_text('')
    blocked = FlowCache(tmp_path / 'in_the_way', DISFlow('ultrafast'))
    many = [FlowRequest(blocked, requests[0].current, requests[0].other, (32 + number, 48)) for number in range(30)]
    with pytest.warns(UserWarning, match='cannot be stored'):
        report = fill(many)
    assert report.computed == 0 and len(report.problems) == 21
    assert 'could not be written' in report.problems[0]
    assert report.problems[-1] == 'stopped after 20 problems'


def test_precomputed_files_are_looked_for(requests, tmp_path):
    cache = FlowCache(None, PrecomputedFlow(str(tmp_path), '{current}_{other}.flo'))
    write_flow(tmp_path / '001_000.flo', np.zeros((2, 2, 2)))
    report = fill([FlowRequest(cache, request.current, request.other, None) for request in requests])
    assert (report.computed, report.present) == (0, 1)
    names = ('002_001', '003_002')
    assert sorted(report.problems) == [
        f'flow file {tmp_path}/{name}.flo does not exist; correct folder or naming' for name in names
    ]
