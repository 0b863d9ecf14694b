"""Filling a cache ahead of training."""

import cv2
import numpy as np
import pytest

from udass.flow import DISFlow, FlowCache, FlowRequest, PrecomputedFlow, fill, numbered_pairs, write_flow


def write_frames(folder, names, size=(32, 48)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture = np.random.default_rng(number).integers(0, 255, (*size, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / name), picture)


def short(pairs, folder):
    return [tuple(path.removeprefix(f'{folder}/') for path in pair) for pair in pairs]


@pytest.fixture
def requests(tmp_path):
    write_frames(tmp_path / 'video', [f'{number:03d}.png' for number in range(4)])
    cache = FlowCache(tmp_path / 'flow', DISFlow('ultrafast'))
    return [FlowRequest(cache, *pair, None) for pair in numbered_pairs(tmp_path / 'video')]


def test_pairs_of_numbered_frames(tmp_path):
    """Sequences by folder, prefix, ending and kind, in the order of their numbers whatever the gaps."""
    write_frames(tmp_path, ['a_9.png', 'a_10.png', 'a_12.png', 'b_1.png', 'a_11.jpg', 'cover.png'])
    write_frames(tmp_path / 'sub', ['1_left.png', '2_left.png', '2_right.png'])
    (tmp_path / 'a_13.txt').write_text('no picture')
    assert short(numbered_pairs(tmp_path), tmp_path) == [
        ('a_10.png', 'a_9.png'),
        ('a_12.png', 'a_10.png'),
        ('sub/2_left.png', 'sub/1_left.png'),
    ]
    assert short(numbered_pairs(tmp_path, (2,)), tmp_path) == [('a_12.png', 'a_9.png')]
    assert len(numbered_pairs(tmp_path, (1, 2))) == 4
    with pytest.raises(ValueError, match='holds no numbered images .* with another one 5 before it'):
        numbered_pairs(tmp_path, (5,))
    with pytest.raises(ValueError, match=r'1 or larger, got \[0\]'):
        numbered_pairs(tmp_path, (0,))
    with pytest.raises(FileNotFoundError, match='nowhere is no folder'):
        numbered_pairs(tmp_path / 'nowhere')


@pytest.mark.parametrize('workers', [1, 3])
def test_fills_and_goes_on(requests, workers):
    totals = []

    def progress(jobs, total):
        totals.append(total)
        return jobs

    # A pair that is asked for twice is computed once.
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
    assert len(report.problems) == 2
    assert '009.png does not exist' in report.problems[0]
    assert '003.png (7 bytes) cannot be decoded' in report.problems[1]


def test_a_wrong_setting_does_not_fail_thousands_of_times(requests, tmp_path):
    (tmp_path / 'in_the_way').write_text('')
    blocked = FlowCache(tmp_path / 'in_the_way', DISFlow('ultrafast'))
    wishes = [FlowRequest(blocked, requests[0].current, requests[0].other, (32 + number, 48)) for number in range(30)]
    with pytest.warns(UserWarning, match='cannot be stored'):
        report = fill(wishes)
    assert report.computed == 0
    assert len(report.problems) == 21
    assert 'could not be written' in report.problems[0]
    assert report.problems[-1] == 'stopped after 20 problems'


def test_precomputed_files_are_looked_for(requests, tmp_path):
    cache = FlowCache(None, PrecomputedFlow(str(tmp_path), '{current}_{other}.flo'))
    write_flow(tmp_path / '001_000.flo', np.zeros((2, 2, 2)))
    report = fill([FlowRequest(cache, request.current, request.other, None) for request in requests])
    assert (report.computed, report.present) == (0, 1)
    assert sorted(report.problems) == [
        f'flow file {tmp_path}/{name}.flo does not exist' for name in ('002_001', '003_002')
    ]
