"""Parameter groups of optimizers: equal ones are one, and a checkpoint fits whatever groups it was saved in."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from tests.engine.test_resume_settings import DONE, LENGTH, base_config, resumed, run
from tests.engine.toys import same_weights
from udass.engine.checkpoint import latest_checkpoint
from udass.engine.optim import merge_groups

# Of the convolutions `student.0` and `student.3`: a rate of its own, and one that the schedule leaves alone.
KEYS = {'student.0': dict(lr_mult=10.0), 'student.3.bias': dict(constant_lr=True)}
OPTIMIZERS = {
    'fused': dict(type='AdamW', lr=0.01, weight_decay=0.1, fused=True),
    'foreach': dict(type='AdamW', lr=0.01, weight_decay=0.1, foreach=True),
    'SGD': dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1),
}


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
    )


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_groups_are_merged_by_their_options_and_steps_stay_the_same(optimizer):
    init_default_scope('mmseg')
    options = dict(custom_keys={'4': dict(lr_mult=10.0), '2.bias': dict(constant_lr=True)}, norm_decay_mult=0.0)
    config = dict(type='OptimWrapper', optimizer=OPTIMIZERS[optimizer], paramwise_cfg=options)
    single, merged = small_network(), small_network()
    wrappers = build_optim_wrapper(single, config), build_optim_wrapper(merged, config)
    assert merge_groups(wrappers[1], merged) is wrappers[1]
    groups = wrappers[1].optimizer.param_groups
    assert len(wrappers[0].optimizer.param_groups) == 10 and [group['param_names'] for group in groups] == [
        ['0.weight', '0.bias', '2.weight'],
        ['1.weight', '1.bias', '3.weight', '3.bias'],
        ['2.bias'],
        ['4.weight', '4.bias'],
    ]
    assert [(group['lr'], group['weight_decay'] > 0) for group in groups] == [
        (0.01, True),
        (0.01, False),
        (0.01, True),
        (0.1, True),
    ]
    for network, wrapper in zip((single, merged), wrappers, strict=True):
        for seed in range(3):
            images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            wrapper.update_params((network(images) ** 2).sum())
    assert all(map(torch.equal, single.parameters(), merged.parameters()))


def grouped_config(toy_root, keys=KEYS):
    config = base_config(toy_root)
    config.optim_wrapper.paramwise_cfg = dict(custom_keys=keys)
    config.param_scheduler = [dict(type='GroupPolyLR', power=1.0, begin=0, end=LENGTH, by_epoch=False)]
    return config


@pytest.fixture
def old(toy_root, tmp_path, monkeypatch):
    """A checkpoint of an earlier version: a group per parameter, without names."""
    with monkeypatch.context() as patch:
        patch.setattr('udass.engine.runner.merge_groups', lambda wrapper, model: wrapper)
        runner = run(grouped_config(toy_root), tmp_path / 'old', until=DONE)[2]
    saved = runner.optim_wrapper.state_dict()
    assert len(saved['param_groups']) == 4 and 'param_names' not in saved['param_groups'][0]
    return latest_checkpoint(tmp_path / 'old')


def test_a_checkpoint_with_a_group_per_parameter_resumes_bit_for_bit(toy_root, tmp_path, old):
    whole = run(grouped_config(toy_root), tmp_path / 'whole')
    record, warnings, runner = resumed(old, grouped_config(toy_root), tmp_path)
    assert len(runner.optim_wrapper.optimizer.param_groups) == 3
    assert warnings == '' and record.rates == whole[0].rates[DONE:]
    assert same_weights(runner.model, whole[2].model)


def test_moments_follow_their_parameters_into_other_groups(toy_root, tmp_path, old):
    """The first convolution's bias joins the second convolution, whose rate the config changes."""
    config = grouped_config(toy_root, {'student.0.weight': dict(lr_mult=10.0), 'student.3.bias': dict(lr_mult=2.0)})
    moments = {}
    config.load_from = str(old)
    config.train_cfg.max_iters = DONE
    runner = run(config, tmp_path / 'resumed', resume=True)[2]
    # One state per parameter, in the order of the model.
    saved = torch.load(old, weights_only=True)['optimizer']['state']
    state = runner.optim_wrapper.optimizer.state
    moments = [state[parameter]['exp_avg'] for parameter in runner.model.parameters()]
    assert len(moments) == len(saved) == 4
    assert all(torch.equal(moment, saved[number]['exp_avg']) for number, moment in enumerate(moments))


def test_rates_of_the_config_hold_where_groups_are_joined(toy_root, tmp_path, old):
    """All parameters have one rate now."""
    config = base_config(toy_root)
    record, warnings, runner = resumed(old, config, tmp_path)
    assert len(runner.optim_wrapper.optimizer.param_groups) == 1
    assert record.rates == run(config, tmp_path / 'fresh')[0].rates[DONE:]
    assert 'those of the config hold from iteration 5 on' in warnings


def test_other_trained_parameters_are_named(toy_root, tmp_path):
    run(grouped_config(toy_root), tmp_path / 'run', until=DONE)
    path = latest_checkpoint(tmp_path / 'run')
    content = torch.load(path, weights_only=True)
    content['optimizer']['param_groups'][0]['param_names'][0] = 'student.9.weight'
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='does not fit: .*only one of them has student.0.weight, student.9.weight'):
        resumed(tmp_path / 'other.pth', grouped_config(toy_root), tmp_path)
