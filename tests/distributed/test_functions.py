"""What two processes compute together, by hand."""

import re

import pytest
import torch

from tests.distributed.functions import VALUES, WEIGHT, rank_functions
from tests.distributed.processes import fork
from tests.distributed.steps import RANKS, join

MEAN = torch.cat(VALUES).mean().item()


def run_functions(rank: int, folder: str) -> None:
    join(rank, folder)
    torch.save(rank_functions(rank, RANKS), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('functions')
    assert fork(run_functions, str(folder), number=RANKS) == [0] * RANKS
    return [torch.load(folder / f'{rank}.pth') for rank in range(RANKS)]


def mean_of(results, name):
    """Mean over the ranks, as DDP takes it of gradients and the log of losses."""
    return [sum(values) / RANKS for values in zip(*(result[name] for result in results), strict=True)]


@pytest.mark.slow
def test_losses_and_gradients_are_those_of_the_joined_batch(results):
    assert mean_of(results, 'plain_mean') == pytest.approx([WEIGHT * MEAN, MEAN])
    assert mean_of(results, 'squared_mean') == pytest.approx([(WEIGHT * MEAN) ** 2, 2 * WEIGHT * MEAN**2])
    assert results[0]['squared_mean'][0] == results[1]['squared_mean'][0]
    assert [result['nothing'] for result in results] == [0, 0]
    assert [result['share'] for result in results] == [0.5, 0.5]


@pytest.mark.slow
def test_averages_flags_and_objects_reach_who_needs_them(results):
    for result in results:
        assert torch.equal(result['averaged'][0], torch.full((2, 2), 0.5))
        assert torch.equal(result['averaged'][1], torch.full((3,), 5.0))
        assert result['any'] == [True, False]
        assert result['log'] == {'loss': 2.5, 'host': 3.0}
        assert result['gathered'] == ['rank 0', 'rank 1']
        assert result['same'] == ''
        assert (
            'b is 10 in process 0 and 11 in process 1; c is not set in process 0 and 3 in process 1'
            in result['refused']
        )


@pytest.mark.slow
def test_statistics_are_joined_for_checkpoints_and_tests_and_kept_for_each_rank(results):
    for rank, result in enumerate(results):
        assert result['statistics'] == {
            'inside': 0.5,
            'saved': 0.5,
            'after': rank,
            'resumed': rank,
            'teacher': 0.5,
            'of_another_number': 0.5,
        }


@pytest.mark.slow
def test_weights_that_leave_a_tensor_unloaded_are_refused_on_every_rank(results):
    for result in results:
        assert len(result['incomplete']) == 8
        for name, message in result['incomplete'].items():
            assert re.search(r'does not fit \w+: 1 missing: .*\.weight\. Use a file of this config', message), name


def test_one_process_computes_alone():
    alone = rank_functions(0, 1)
    assert alone['plain_mean'] == (9.0, 3.0) and alone['share'] == pytest.approx(1 / 3)
    assert alone['refused'] == ''
    assert alone['gathered'] == ['rank 0'] and alone['averaged'][0].sum() == 0
