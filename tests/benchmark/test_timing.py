"""Times of candidates in turns, and the numbers made of them."""

import re

import pytest
import torch

from udass.benchmark import timing
from udass.benchmark.timing import Timing, ratio, time_in_turns

CPU = torch.device('cpu')


def test_median_and_quartiles_of_seconds():
    assert Timing((3.0, 1.0, 2.0)).median == 2
    assert Timing((4.0, 1.0, 2.0, 9.0)).median == 3
    # Linear between the sorted values, at 0, 1/3, 2/3 and 1.
    assert Timing((4.0, 1.0, 2.0, 9.0)).to_dict() == dict(median=3.0, low=1.75, high=5.25, repeats=4)
    assert Timing((5.0, 1.0, 2.0, 4.0, 3.0)).to_dict() == dict(median=3.0, low=2.0, high=4.0, repeats=5)


def test_a_single_repeat_is_its_own_quartiles():
    assert Timing((7.0,)).to_dict() == dict(median=7.0, low=7.0, high=7.0, repeats=1)


def test_the_ratio_pairs_the_rounds():
    """The rounds give 2, 3 and 4; the ratio of the medians would be 40 / 10."""
    assert ratio(Timing((2.0, 120.0, 40.0)), Timing((1.0, 40.0, 10.0))) == dict(median=3.0, low=2.5, high=3.5)
    with pytest.raises(ValueError, match='shorter'):
        ratio(Timing((1.0, 2.0)), Timing((1.0,)))


def test_the_order_turns_from_round_to_round_and_warmup_does_not_count():
    calls = []
    result = time_in_turns({name: lambda name=name: calls.append(name) for name in 'abc'}, 3, 2, CPU)
    assert ''.join(calls) == 'abccbaabccbaabc'
    assert list(result) == ['a', 'b', 'c'] and [len(value.seconds) for value in result.values()] == [3, 3, 3]


def test_the_clock_sees_the_call_and_neither_its_preparation_nor_the_freeing(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])

    class Result:
        def __del__(self):
            now[0] += 1000

    def prepare():
        now[0] += 100
        return 3

    def work(argument):
        now[0] += argument
        return Result()

    def quick():
        now[0] += 2

    result = time_in_turns(dict(work=work, quick=quick), 2, 1, CPU, prepare=dict(work=prepare))
    assert result['work'].seconds == (3, 3) and result['quick'].seconds == (2, 2)
    assert now[0] == 3 * (100 + 3 + 1000 + 2)


@pytest.mark.parametrize('repeats, warmup', [(0, 1), (1, -1)])
def test_rounds_must_count(repeats, warmup):
    message = f'repeats is at least 1 and warmup at least 0; got {repeats} and {warmup}'
    with pytest.raises(ValueError, match=re.escape(message)):
        time_in_turns(dict(a=int), repeats, warmup, CPU)
