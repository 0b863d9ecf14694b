"""Optimizers per child of the model."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from tests.engine.toys import build_runner, toy_config, write_toy_data
from udass.engine.optim import match_memory_layout

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5))
ADAM = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.25))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.ModuleDict(dict(backbone=nn.Linear(2, 2), head=nn.Linear(2, 2)))
        self.teacher = nn.Linear(2, 2).requires_grad_(False)
        self.adaptation_loss = nn.Linear(2, 1)


def build(**children):
    init_default_scope('mmseg')
    return build_optim_wrapper(Model(), dict(constructor='ChildOptimWrapperConstructor', **children))


def test_each_child_gets_its_own():
    student = dict(SGD, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
    wrappers = build(student=student, adaptation_loss=ADAM)
    assert list(wrappers.keys()) == ['student', 'adaptation_loss']
    assert isinstance(wrappers['adaptation_loss'].optimizer, torch.optim.Adam)
    assert [group['lr'] for group in wrappers['student'].optimizer.param_groups] == [0.5, 0.5, 5.0, 5.0]
    assert sum(len(group['params']) for group in wrappers['adaptation_loss'].optimizer.param_groups) == 2
    assert student['paramwise_cfg'] == dict(custom_keys=dict(head=dict(lr_mult=10.0))), 'the config was changed'


@pytest.mark.parametrize(
    'children',
    [dict(student=SGD), dict(student=SGD, adaptation_loss=ADAM, teacher=SGD), dict(student=SGD, discriminator=ADAM)],
)
def test_every_trained_child_and_no_other_is_named(children):
    with pytest.raises(ValueError, match='to be trained are student, adaptation_loss: name each of these once'):
        build(**children)


def test_what_belongs_to_a_child_is_refused_beside_the_children():
    for option, value in (('type', 'AmpOptimWrapper'), ('accumulative_counts', 2)):
        with pytest.raises(ValueError, match=rf'set optim_wrapper.<part>.{option}'):
            build(student=SGD, adaptation_loss=ADAM, **{option: value})


def test_a_discriminator_may_be_trained_by_the_students_optimizer_too():
    model = Model()
    model.adaptation_loss.train_with_student = True
    init_default_scope('mmseg')
    config = dict(constructor='ChildOptimWrapperConstructor', student=SGD, adaptation_loss=ADAM)
    groups = build_optim_wrapper(model, config)['student'].optimizer.param_groups
    assert (
        groups[-1]['params'] == list(model.adaptation_loss.parameters()) and groups[-1]['lr'] == SGD['optimizer']['lr']
    )
    with pytest.raises(ValueError, match='train_with_student .* fp16 .* train in bf16'):
        build_optim_wrapper(model, dict(config, student=dict(SGD, type='MixedPrecisionOptimWrapper', dtype='fp16')))
    build_optim_wrapper(model, dict(config, student=dict(SGD, type='MixedPrecisionOptimWrapper', dtype='bf16')))


def test_paramwise_options_belong_to_a_child():
    with pytest.raises(ValueError, match=r'optim_wrapper.student.paramwise_cfg'):
        build(student=SGD, adaptation_loss=ADAM, paramwise_cfg=dict(bias_lr_mult=2.0))


def test_rates_follow_the_batch_of_all_processes(tmp_path):
    data = write_toy_data(tmp_path / 'data')
    scaled = dict(enable=True, base_batch_size=1, rule='sqrt')
    runner = build_runner(toy_config(data, tmp_path / 'run', max_iters=1), auto_scale_lr=scaled)
    runner.train()
    # A batch of two. The schedule starts from the scaled rate.
    assert runner.optim_wrapper.param_groups[0]['initial_lr'] == pytest.approx(0.01 * 2**0.5)


@pytest.mark.parametrize('fused', [True, False])
def test_moments_of_another_memory_layout_stay_with_their_weights(fused):
    def training(layout):
        torch.manual_seed(0)
        conv = nn.Conv2d(4, 4, 3).to(memory_format=layout)
        return conv, OptimWrapper(torch.optim.AdamW(conv.parameters(), lr=0.1, fused=fused))

    def step(conv, wrapper):
        wrapper.update_params((conv(torch.arange(100.0).reshape(1, 4, 5, 5) / 100) ** 2).sum())

    saved, wrapper = training(torch.contiguous_format)
    step(saved, wrapper)
    resumed, other = training(torch.channels_last)
    resumed.load_state_dict(saved.state_dict())
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    match_memory_layout(other)
    step(saved, wrapper)
    step(resumed, other)
    moment = other.optimizer.state[resumed.weight]['exp_avg']
    assert moment.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(saved.weight, resumed.weight, atol=1e-6)
