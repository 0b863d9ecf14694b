"""Trainings that learn from the source alone before they adapt."""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.uda.small import METHODS, build, data_of
from tests.uda.test_methods import PASSES


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def train(model, optimizer, iterations):
    """Logs of the iterations, with the same random numbers for every model."""
    torch.manual_seed(1)
    return [model.train_step(data_of(model, seed), optimizer) for seed in range(iterations)]


def passes(log):
    return {key.split('.')[0] for key in log if '.' in key}


@pytest.mark.parametrize('method', [name for name in METHODS if name != 'source_only'])
def test_before_its_start_a_method_has_the_source_pass_alone(method):
    model, optimizer = build(*METHODS[method], adaptation_start=2)
    logs = train(model, optimizer, 4)
    assert [passes(log) for log in logs[:2]] == 2 * [{'source'}] and passes(logs[3]) == PASSES[method]
    assert ['confidence' in log for log in logs] == [False, False, *2 * [model.ema is not None]]
    assert all(torch.isfinite(log['loss']) for log in logs)


@pytest.mark.parametrize('method', ['dacs', 'advseg'])
def test_before_its_start_a_method_is_the_source_alone(method):
    model, optimizer = build(*METHODS[method], adaptation_start=3, seed=0)
    alone, optimizer_alone = build(*METHODS['source_only'], seed=0)
    alone.student.load_state_dict(model.student.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items() if name.startswith('adaptation')}
    train(model, optimizer, 3)
    train(alone, optimizer_alone, 3)
    state = model.state_dict()
    assert all(state[name].equal(value) for name, value in alone.student.state_dict(prefix='student.').items())
    assert all(state[name].equal(value) for name, value in before.items()), 'the discriminator'


def test_the_teacher_follows_the_student_before_the_start():
    model, optimizer = build(*METHODS['dacs'], adaptation_start=2)
    train(model, optimizer, 2)
    student, teacher = (dict(network.named_parameters()) for network in (model.student, model.teacher))
    moved = [name for name, value in teacher.items() if not value.equal(student[name])]
    start, _ = build(*METHODS['dacs'])
    assert moved and any(not teacher[name].equal(value) for name, value in start.teacher.named_parameters())


def test_a_resumed_training_is_as_far_as_before():
    model, optimizer = build(*METHODS['dacs'], adaptation_start=2)
    train(model, optimizer, 2)
    resumed, optimizer = build(*METHODS['dacs'], adaptation_start=2)
    resumed.load_state_dict(model.state_dict())
    assert passes(train(resumed, optimizer, 1)[0]) == PASSES['dacs']


@pytest.mark.parametrize(('method', 'start'), [('source_only', 5), ('dacs', -1)])
def test_a_start_that_means_nothing_is_refused(method, start):
    with pytest.raises(ValueError, match=f'adaptation_start is the first iteration, .*; got {start}'):
        build(*METHODS[method], adaptation_start=start)
