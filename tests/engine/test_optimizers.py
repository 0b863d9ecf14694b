"""Optimizers per child of the model."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

import udass  # noqa: F401

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5))
ADAM = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.25))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.ModuleDict(dict(backbone=nn.Linear(2, 2), head=nn.Linear(2, 2)))
        self.teacher = nn.Linear(2, 2).requires_grad_(False)
        self.alignment = nn.Linear(2, 1)


def build(**children):
    init_default_scope('mmseg')
    return build_optim_wrapper(Model(), dict(constructor='ChildOptimWrapperConstructor', **children))


def test_each_child_gets_its_own():
    student = dict(SGD, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
    wrappers = build(student=student, alignment=ADAM)
    assert list(wrappers.keys()) == ['student', 'alignment']
    assert isinstance(wrappers['alignment'].optimizer, torch.optim.Adam)
    assert [group['lr'] for group in wrappers['student'].optimizer.param_groups] == [0.5, 0.5, 5.0, 5.0]
    assert sum(len(group['params']) for group in wrappers['alignment'].optimizer.param_groups) == 2
    assert student['paramwise_cfg'] == dict(custom_keys=dict(head=dict(lr_mult=10.0))), 'the config was changed'


@pytest.mark.parametrize('children', [dict(student=SGD), dict(student=SGD, alignment=ADAM, teacher=SGD),
                                      dict(student=SGD, discriminator=ADAM)])
def test_every_trained_child_and_no_other_is_named(children):
    with pytest.raises(ValueError, match='to be trained are student, alignment: name each of these once'):
        build(**children)


def test_what_belongs_to_a_child_is_refused_beside_the_children():
    for option, value in (('type', 'AmpOptimWrapper'), ('accumulative_counts', 2)):
        with pytest.raises(ValueError, match=rf'set optim_wrapper.<part>.{option}'):
            build(student=SGD, alignment=ADAM, **{option: value})


def test_paramwise_options_belong_to_a_child():
    with pytest.raises(ValueError, match=r'optim_wrapper.student.paramwise_cfg'):
        build(student=SGD, alignment=ADAM, paramwise_cfg=dict(bias_lr_mult=2.0))
