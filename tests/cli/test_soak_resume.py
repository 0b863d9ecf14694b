"""Killed trainings end as the uninterrupted one; and the comparison would notice if they did not."""

import json

import pytest
import torch

from tests import soak_resume
from udass.io.writing import temporary_path
from udass.streets.writer import write_streets


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp('streets')
    write_streets(root, size=(96, 192), counts=dict(game=dict(train=8, val=2), camera=dict(train=8, val=2)), workers=1)
    return root


def test_every_difference_is_found():
    state = {'weight': torch.tensor([0.0, float('nan')]), 'steps': [1, (2, 3)], 'name': 'a'}
    assert list(soak_resume.differences(state, {**state, 'weight': state['weight'].clone()})) == []
    others = {
        'weight: tensors': {**state, 'weight': torch.tensor([-0.0, float('nan')])},
        'weight: Tensor and int': {**state, 'weight': 1},
        'steps.1.1: 3 and 4': {**state, 'steps': [1, (2, 4)]},
        'steps: 2 and 1 entries': {**state, 'steps': [1]},
        "keys ['name'] are in one only": {key: state[key] for key in ('weight', 'steps')},
    }
    for message, other in others.items():
        found = list(soak_resume.differences(state, other))
        assert len(found) == 1 and message in found[0]
    assert soak_resume.count_tensors(state) == 1


def test_what_a_kill_left_is_looked_at(tmp_path):
    torch.save({'state_dict': {}}, tmp_path / 'iter_10.pth')
    (tmp_path / 'iter_9.pth').write_bytes((tmp_path / 'iter_10.pth').read_bytes()[:-9])
    temporary_path(tmp_path).touch()
    found = soak_resume.inspect(tmp_path)
    assert found['checkpoints'] == ['iter_9.pth', 'iter_10.pth'] and found['while_writing']
    assert len(found['unreadable']) == 1 and found['unreadable'][0].startswith('iter_9.pth: ')


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match='--kills must be at least 1'):
        soak_resume.run(soak_resume.parser().parse_args(['--kills', '0']))


@pytest.mark.slow
def test_kills_of_the_training_and_of_a_worker_leave_no_trace(streets, tmp_path, capsys):
    options = ['--kills', '4', '--iterations', '9', '--interval', '1', '--data-root', str(streets)]
    options += ['--work-dir', str(tmp_path / 'run'), '--json', str(tmp_path / 'soak.json')]
    soak_resume.run(soak_resume.parser().parse_args(options))
    result = json.loads((tmp_path / 'soak.json').read_text())
    assert result['equal'] and not result['unreadable'] and result['tensors'] > 100
    assert [kill['aim'] for kill in result['kills']] == ['iteration', 'start', 'writing', 'worker']
    assert '4 kills in' in (said := capsys.readouterr().out) and '1 of a loader worker alone' in said
