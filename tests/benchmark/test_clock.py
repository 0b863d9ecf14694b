"""Where the time of a step goes: the clock itself, the stages of every method, and that the step is left as it was."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapperDict
from mmengine.registry import init_default_scope

from tests.uda.small import METHODS, build, data_of
from tests.uda.test_methods import PASSES
from udass.benchmark import clock as clocks
from udass.benchmark.clock import StageClock, stages_of, summarize
from udass.uda.checks import check_optimizers
from udass.uda.feature_distance import FeatureDistance

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def now(monkeypatch):
    """The time, to be moved by hand."""
    now = [0.0]
    monkeypatch.setattr(clocks.time, 'perf_counter', lambda: now[0])
    return now


def timed_step(model, optimizer, data, device=CPU):
    clock = StageClock(device)
    with stages_of(model, check_optimizers(model.adaptation_loss, optimizer)[0], clock), clock.stage('step'):
        model.train_step(data, optimizer)
    return dict(clock.seconds)


def own_attributes(model, optimizer):
    """Names of what every part of an adapter has of its own."""
    parts = [*model.modules(), optimizer, *(optimizer.values() if isinstance(optimizer, OptimWrapperDict) else ())]
    return [set(vars(part)) - {'panels'} for part in parts]


def test_a_second_counts_for_the_innermost_stage_only(now):
    clock = StageClock(CPU)
    now[0] = 50
    with clock.stage('step'):
        now[0] += 1
        with clock.stage('pass'):
            now[0] += 2
            for seconds in (10, 20):
                with clock.stage('forward'):
                    now[0] += seconds
            now[0] += 3
        now[0] += 4
    now[0] += 100
    with clock.stage('step'):
        now[0] += 5
    assert dict(clock.seconds) == {('step',): 10, ('step', 'pass'): 5, ('step', 'pass', 'forward'): 30}


def test_a_stage_may_end_where_another_one_begins(now):
    clock = StageClock(CPU)
    with clock.stage('step'):
        with clock.stage('losses'):
            now[0] += 1
            clock.switch('backward')
            now[0] += 2
        now[0] += 4
    assert dict(clock.seconds) == {('step',): 4, ('step', 'losses'): 1, ('step', 'backward'): 2}


def test_an_error_ends_its_stages(now):
    clock = StageClock(CPU)
    with clock.stage('step'):
        with pytest.raises(KeyError), clock.stage('pass'), clock.stage('forward'):
            now[0] += 1
            raise KeyError
        now[0] += 2
    assert dict(clock.seconds) == {('step',): 2, ('step', 'pass'): 0, ('step', 'pass', 'forward'): 1}


@pytest.mark.parametrize('method', METHODS)
def test_a_step_under_the_clock_is_the_same_step_and_leaves_the_adapter_as_it_was(method):
    call = FeatureDistance.__call__
    models = [build(*METHODS[method]) for _ in range(2)]
    for number in range(2):
        for timed, (model, optimizer) in enumerate(models):
            torch.manual_seed(number)
            if timed:
                before = own_attributes(model, optimizer)
                timed_step(model, optimizer, data_of(model, number))
                assert own_attributes(model, optimizer) == before
            else:
                model.train_step(data_of(model, number), optimizer)
    first, second = (model.state_dict() for model, _ in models)
    tensors = {name: value for name, value in first.items() if isinstance(value, torch.Tensor)}
    assert len(tensors) > 50 and all(torch.equal(value, second[name]) for name, value in tensors.items())
    assert FeatureDistance.__call__ is call


def test_an_error_in_the_step_leaves_the_adapter_as_it_was_too():
    model, optimizer = build(*METHODS['quadmix'])
    before, call = own_attributes(model, optimizer), FeatureDistance.__call__
    with pytest.raises(KeyError):
        timed_step(model, optimizer, {})
    assert own_attributes(model, optimizer) == before and FeatureDistance.__call__ is call


@pytest.mark.parametrize('method', METHODS)
def test_the_stages_name_every_pass_and_add_up_to_the_step(method, monkeypatch):
    """Under a clock that ticks once per look, the looks are the time."""
    model, optimizer = build(*METHODS[method])
    timed_step(model, optimizer, data_of(model, 0))
    ticks = [0]

    def tick():
        ticks[0] += 1
        return float(ticks[0])

    monkeypatch.setattr(clocks.time, 'perf_counter', tick)
    seconds = timed_step(model, optimizer, data_of(model, 1))
    assert sum(seconds.values()) == ticks[0] - 1 and all(path[0] == 'step' for path in seconds)
    passes = {path[1] for path in seconds if len(path) == 3}
    assert passes - {'teacher'} == PASSES[method] - {'discriminator'}
    for name in passes - {'teacher'}:
        stages = {path[2] for path in seconds if path[:2] == ('step', name) and len(path) > 2}
        assert {'forward', 'backward of losses', 'backward'} <= stages, name
    outer = {path[1] for path in seconds if len(path) > 1}
    assert ('EMA' in outer) == ('teacher' in outer) == (model.ema is not None)
    assert ('mixing' in outer) == (model.mixing is not None) and ('masking' in outer) == (model.masking is not None)
    assert ('colours and blur' in outer) == (model.photometric is not None) and 'optimizer' in outer
    assert (('step', 'teacher', 'teacher forward') in seconds) == (model.ema is not None)
    assert (('step', 'source', 'ImageNet forward') in seconds) == (model.feature_distance is not None)


def test_the_backward_of_the_loss_is_apart_from_that_of_the_network(now):
    """Backward steps that take known seconds, in the loss and in the decoder."""

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value, seconds):
            ctx.seconds = seconds
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            now[0] += ctx.seconds
            return gradient, None

    model, optimizer = build(*METHODS['source_only'])
    head = model.student.decode_head
    forward, criterion = head.conv_seg.forward, head.loss_decode.forward
    head.conv_seg.forward = lambda value: Slow.apply(forward(value), 5)
    head.loss_decode.forward = lambda *args, **kwargs: Slow.apply(criterion(*args, **kwargs), 3)
    seconds = timed_step(model, optimizer, data_of(model, 0))
    assert seconds['step', 'source', 'backward of losses'] == 3 and seconds['step', 'source', 'backward'] == 5
    assert sum(seconds.values()) == 8


def test_a_summary_by_hand():
    first = {
        ('step',): 1.0,
        ('step', 'source'): 2.0,
        ('step', 'source', 'forward'): 4.0,
        ('step', 'source', 'losses'): 1.0,
        ('step', 'tss', 'forward'): 6.0,
        ('step', 'teacher'): 2.0,
        ('step', 'optimizer'): 4.0,
    }
    # A second step of other times, in which the mixed pass has another name; a third one, three times the first.
    second = {('step',): 2.0, ('step', 'source', 'forward'): 5.0, ('step', 'mix', 'forward'): 3.0}
    third = {path: 3 * value for path, value in first.items()}
    result = summarize([first, second, third])
    assert result['stages'] == dict(source=7.0, tss=6.0, teacher=2.0, optimizer=4.0, mix=0.0)
    assert result['kinds'] == {'other': 3.0, 'forward': 10.0, 'losses': 1.0, 'pseudo-labels': 2.0, 'optimizer': 4.0}
    assert result['networks'] == pytest.approx(0.5)


def test_the_summary_of_an_even_number_of_steps_lies_between_the_two_in_the_middle():
    steps = [{('step',): 1.0, ('step', 'source', 'forward'): forward} for forward in (1.0, 3.0)]
    result = summarize(steps)
    assert result['stages'] == dict(source=2.0) and result['kinds'] == dict(other=1.0, forward=2.0)
    assert result['networks'] == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_the_kinds_of_a_step_add_up_to_it():
    model, optimizer = build(*METHODS['quadmix'])
    seconds = [timed_step(model, optimizer, data_of(model, number)) for number in range(2)][1:]
    result = summarize(copy.deepcopy(seconds))
    total = sum(seconds[0].values())
    assert sum(result['kinds'].values()) == pytest.approx(total)
    networks = sum(result['kinds'][name] for name in clocks.NETWORKS)
    assert result['networks'] == pytest.approx(networks / total) and 0.2 < result['networks'] < 1
    assert sum(result['stages'].values()) <= total
