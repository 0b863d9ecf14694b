"""Two processes compute what one computes on the joined batch."""

from functools import cache

import pytest
import torch

from tests.distributed.processes import fork
from tests.distributed.steps import ACCUMULATED, CASES, RANKS, UNCOUPLED, accumulating, build_case, rank_steps, run_case

# mmseg adds 1.2e-7 to the number of pixels over which a loss is averaged. For the halves of a batch that is 7e-12 more
# than for the whole of it, which steps at a high learning rate enlarge.
_CLOSE = dict(rtol=1e-9, atol=1e-9)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Results of every rank: results('dacs') -> one per rank."""
    folder = tmp_path_factory.mktemp('ranks')
    assert fork(rank_steps, str(folder), number=RANKS) == [0] * RANKS
    return lambda name: [torch.load(folder / f'{name}_{rank}.pth') for rank in range(RANKS)]


def uncoupled(name):
    return UNCOUPLED if 'feature_distance' in CASES[name][0] else {}


@cache
def one_process(name, **components):
    """What one process computes on the joined batch."""
    return run_case(name, **components)


def assert_same(first, second):
    """Weights and gradients of two ranks, to the bit."""
    assert first['state'].keys() == second['state'].keys()
    assert all(torch.equal(value, second['state'][key]) for key, value in first['state'].items())
    for name, gradients in first['gradients'].items():
        for a, b in zip(gradients, second['gradients'][name], strict=True):
            assert (a is None and b is None) or torch.equal(a, b)


def assert_close(rank, single):
    """Weights and gradients of a rank and of a single process."""
    assert list(rank['state']) == list(single['state'])
    for key, value in single['state'].items():
        torch.testing.assert_close(rank['state'][key], value, **_CLOSE, msg=lambda text, key=key: f'{key}: {text}')
    for name, gradients in single['gradients'].items():
        for a, b in zip(rank['gradients'][name], gradients, strict=True):
            # A parameter that no pass has used has none, or zeros.
            torch.testing.assert_close(
                torch.zeros(1) if a is None else a, torch.zeros_like(a) if b is None else b, **_CLOSE
            ) if a is not None or b is not None else None


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_two_ranks_equal_each_other_and_one_process_on_the_joined_batch(results, name):
    first, second = results(name)
    assert_same(first, second)
    single = one_process(name)
    assert_close(first, single)
    for step, expected in enumerate(single['logs']):
        assert first['logs'][step].keys() == expected.keys()
        for key, value in expected.items():
            mean = sum(part['logs'][step][key] for part in (first, second)) / RANKS
            assert mean == pytest.approx(value, rel=1e-9, abs=1e-9), (step, key)


@pytest.mark.slow
@pytest.mark.parametrize('name', ACCUMULATED)
def test_two_ranks_that_accumulate_equal_one_process_on_the_joined_batch(results, name):
    first, second = results(f'{name}_accumulated')
    assert_same(first, second)
    assert_close(first, one_process(name, **uncoupled(name)))


# The others average over what differs between samples: pixels with a label, pixels of a class.
@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[] if name in ('dacs', 'advseg') else pytest.mark.slow)
        for name in CASES
        if name != 'valid_cross_entropy' and not name.startswith('quadmix_video')
    ],
)
def test_a_batch_in_two_parts_equals_the_whole_one(name):
    components = uncoupled(name)
    whole, parts = one_process(name, **components), run_case(name, accumulating, **components)
    assert_close(parts, whole)
    for found, expected in zip(parts['logs'], whole['logs'], strict=True):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.slow
def test_the_comparison_notices_gradients_that_are_not_reduced(results):
    first, second = results('broken')
    with pytest.raises(AssertionError):
        assert_same(first, second)
    with pytest.raises(AssertionError):
        assert_close(first, one_process('dacs'))


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, case, components',
    [
        ('local_share', 'dacs', {}),
        ('local_distance', 'daformer', dict(feature_distance=dict(type='FeatureDistance', weight=1.0))),
    ],
)
def test_without_the_reduction_the_ranks_agree_on_something_else(results, name, case, components):
    first, second = results(name)
    assert_same(first, second)
    with pytest.raises(AssertionError):
        assert_close(first, run_case(case, **components))


def test_only_networks_that_leave_parameters_out_are_searched_for_them():
    searched = {name for name in CASES if build_case(name).leaves_parameters_out}
    on_clips = {'flow_guided', 'hrda_clips', 'tps', 'quadmix_video', 'quadmix_video_vit', 'quadmix_video_cnn'}
    assert searched == {*on_clips, 'vfmuda', 'vfmudapp', 'quadmix_vfmudapp', 'frozen'}
