"""Resuming with other settings: the config wins and the change is named, or the run is refused with both values."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from tests.engine.toys import build_runner, same_weights, toy_config
from udass.engine.checkpoint import latest_checkpoint
from udass.engine.resume import changed_settings, check_changes, settings_of

DONE, LENGTH = 4, 8


class Record(Hook):
    """Rates, options and batch sizes of each iteration."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.rates, self.options, self.batches = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        group = runner.optim_wrapper.param_groups[0]
        self.rates.append(group['lr'])
        self.options.append({key: value for key, value in group.items() if key in ('weight_decay', 'betas')})
        self.batches.append([tuple(image.shape[1:]) for image in data_batch['source']['inputs']])


def run(config, work_dir, until=None, resume=False):
    """Trains, up to ``until``; returns what was recorded, the warnings and the runner."""
    config = copy.deepcopy(config)
    config.work_dir = str(work_dir)
    runner = build_runner(config, resume=resume)
    record, warnings = Record(), []
    runner.register_hook(record)
    runner.logger.warning = warnings.append
    if until is not None:
        step = runner.model.train_step

        def counted(data, optim_wrapper):
            log = step(data, optim_wrapper)
            runner.train_loop.stop_training = runner.iter + 1 == until
            return log

        runner.model.train_step = counted
    runner.train()
    return record, '\n'.join(warnings), runner


def base_config(toy_root, max_iters=LENGTH):
    return toy_config(toy_root, 'unused', max_iters=max_iters, val_begin=1000)


@pytest.fixture(scope='module')
def begun(toy_root, tmp_path_factory):
    """A work dir with a training that stopped after ``DONE`` iterations of ``LENGTH``."""
    folder = tmp_path_factory.mktemp('begun')
    run(base_config(toy_root), folder, until=DONE)
    assert latest_checkpoint(folder).name == f'iter_{DONE}.pth'
    return latest_checkpoint(folder)


def resumed(begun, config, tmp_path):
    config.load_from = str(begun)
    return run(config, tmp_path / 'resumed', resume=True)


@pytest.fixture(scope='module')
def whole(toy_root, tmp_path_factory):
    """Record, warnings and runner of the training that was not interrupted."""
    return run(base_config(toy_root), tmp_path_factory.mktemp('whole'))


SCHEDULES = {
    'rate': (dict(lr=1e-3), None, 'optim_wrapper.optimizer.lr was 0.01, now 0.001'),
    'another schedule': (
        {},
        [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=LENGTH, T_max=LENGTH)],
        "param_scheduler.0.type was 'PolyLR', now 'CosineAnnealingLR'",
    ),
    'one more': (
        {},
        [
            dict(type='LinearLR', by_epoch=False, begin=0, end=6, start_factor=0.1),
            dict(type='PolyLR', by_epoch=False, begin=6, end=LENGTH),
        ],
        "param_scheduler.1.type was not set, now 'PolyLR'",
    ),
    'one less': ({}, [], 'param_scheduler.0.end was 8, now not set'),
    'a step that is done': (
        {},
        [dict(type='MultiStepLR', by_epoch=False, milestones=[2, 6], gamma=0.1)],
        'param_scheduler.0.milestones was not set, now [2, 6]',
    ),
}


@pytest.mark.parametrize('name', SCHEDULES)
def test_rates_are_those_of_the_new_config_and_the_change_is_named(name, toy_root, begun, tmp_path):
    optimizer, schedule, message = SCHEDULES[name]
    config = base_config(toy_root)
    config.optim_wrapper.optimizer.update(optimizer)
    if schedule is not None:
        config.param_scheduler = schedule
    record, warnings, _ = resumed(begun, config, tmp_path)
    expected = run(config, tmp_path / 'fresh')[0].rates
    assert record.rates == expected[DONE:] and any(record.rates)
    assert message in warnings and 'those of the config hold from iteration 5 on' in warnings


@pytest.mark.parametrize('given', [True, False])
def test_a_longer_training_follows_the_longer_schedule(toy_root, tmp_path, given):
    """With the end of the schedule in the config, or as long as the training by default."""

    def config(length):
        made = base_config(toy_root, max_iters=length)
        if not given:
            del made.param_scheduler[0]['end']
        return made

    finished = run(config(2), tmp_path / 'run')[0].rates
    assert finished == [0.01, 0.0]
    record, warnings, runner = run(config(6), tmp_path / 'run', resume=True)
    assert record.rates == pytest.approx([0.006, 0.004, 0.002, 0.0], abs=1e-9) and runner.iter == 6
    assert 'train_cfg.max_iters was 2, now 6' in warnings


def test_options_of_the_optimizer_are_those_of_the_new_config_and_moments_go_on(toy_root, begun, whole, tmp_path):
    config = base_config(toy_root)
    config.optim_wrapper.optimizer.update(weight_decay=0.3, betas=(0.5, 0.6))
    record, warnings, runner = resumed(begun, config, tmp_path)
    assert record.options == [dict(weight_decay=0.3, betas=(0.5, 0.6))] * (LENGTH - DONE)
    assert record.rates == whole[0].rates[DONE:]
    assert 'optim_wrapper.optimizer.weight_decay was not set, now 0.3' in warnings
    assert all(state['step'] == LENGTH for state in runner.optim_wrapper.optimizer.state.values())


def test_without_a_change_there_is_no_warning_and_every_bit_is_the_same(toy_root, begun, whole, tmp_path):
    _, warnings, runner = resumed(begun, base_config(toy_root), tmp_path)
    assert warnings == ''
    assert same_weights(runner.model, whole[2].model)


def larger_batch(config):
    config.train_dataloader.source.batch_size = 3
    return 'train_dataloader.source.batch_size was 2, now 3', [(12, 12)] * 3


def crop(config):
    config.train_dataloader.source.dataset.pipeline.insert(2, dict(type='RandomCrop', crop_size=(8, 8)))
    return "train_dataloader.source.dataset.pipeline.2.type was 'RandomFlip', now 'RandomCrop'", [(8, 8)] * 2


def precision(config):
    config.amp = 'bf16'
    return "amp was not set, now 'bf16'", [(12, 12)] * 2


@pytest.mark.parametrize('change', [larger_batch, crop, precision])
def test_batch_crop_and_precision_take_effect_and_are_named(change, toy_root, begun, whole, tmp_path):
    config = base_config(toy_root)
    message, sizes = change(config)
    record, warnings, runner = resumed(begun, config, tmp_path)
    assert message in warnings and record.batches == [sizes] * (LENGTH - DONE)
    assert (type(runner.optim_wrapper).__name__ == 'MixedPrecisionOptimWrapper') == (change is precision)
    assert record.rates == whole[0].rates[DONE:]


def test_back_from_fp16_and_its_fused_step(toy_root, begun, tmp_path):
    """An optimizer that was not fused is, as the config says; the loss scale is left behind."""
    half = base_config(toy_root)
    half.amp = 'fp16'
    run(half, tmp_path / 'half', until=DONE)
    config = base_config(toy_root)
    config.optim_wrapper.optimizer.fused = True
    config.load_from = str(latest_checkpoint(tmp_path / 'half'))
    _, warnings, runner = run(config, tmp_path / 'resumed', resume=True)
    assert "amp was 'fp16', now not set" in warnings and runner.iter == LENGTH
    assert all(group['fused'] for group in runner.optim_wrapper.optimizer.param_groups)


def test_workers_are_named_and_change_no_bit(toy_root, begun, whole, tmp_path):
    config = base_config(toy_root)
    for loader in config.train_dataloader.values():
        loader.num_workers = 1
    _, warnings, runner = resumed(begun, config, tmp_path)
    assert 'train_dataloader.source.num_workers was 0, now 1' in warnings
    assert same_weights(runner.model, whole[2].model)


def set_option(key, value):
    return lambda config: config.merge_from_dict({key: value})


REFUSED = {
    'optimizer': (
        set_option('optim_wrapper.optimizer', dict(type='SGD', lr=0.01, _delete_=True)),
        "optim_wrapper.optimizer.type was 'AdamW' and is now 'SGD', but the moments",
    ),
    'amsgrad': (
        set_option('optim_wrapper.optimizer.amsgrad', True),
        'amsgrad was not set and is now True, but the moments',
    ),
    'random streams': (set_option('model.seed', 4), 'model.seed was not set and is now 4, but the random streams'),
    'start weights': (
        set_option('model.init_cfg', dict(type='Pretrained', checkpoint='a.pth')),
        "model.init_cfg.checkpoint was not set and is now 'a.pth', but the weights are those",
    ),
    'seed': (set_option('randomness.seed', 7), 'trained with seed 0, this run has seed 7.*--seed 0'),
    'shorter': (set_option('train_cfg.max_iters', 3), 'has 4 iterations, train_cfg.max_iters is 3'),
    'classes': (
        lambda config: [
            loader.dataset.update(metainfo=dict(classes=('bright', 'middle', 'dark')))
            for loader in (*config.train_dataloader.values(), config.val_dataloader)
        ],
        'was trained on the classes dark, middle, bright, this run has bright, middle, dark',
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_has_no_effect_is_refused_with_both_values(name, toy_root, begun, tmp_path):
    change, message = REFUSED[name]
    config = base_config(toy_root)
    change(config)
    config.load_from = str(begun)
    if name == 'start weights':
        # What would build it looks for the file first.
        config.model.pop('init_cfg')
        runner = build_runner(Config(dict(config.to_dict(), work_dir=str(tmp_path), resume=True)))
        runner.cfg.merge_from_dict({'model.init_cfg': dict(type='Pretrained', checkpoint='a.pth')})
    else:
        runner = build_runner(Config(dict(config.to_dict(), work_dir=str(tmp_path), resume=True)))
    with pytest.raises(ValueError, match='(?s)' + message):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_a_schedule_that_has_ended_is_followed_and_warned_of(toy_root, tmp_path):
    """The config wins, though it asks for iterations that change nothing."""
    config = base_config(toy_root, max_iters=4)
    config.param_scheduler = [dict(type='PolyLR', by_epoch=False, begin=0, end=3)]
    run(config, tmp_path)
    config.train_cfg.max_iters = 6
    record, warnings, _ = run(config, tmp_path, resume=True)
    assert record.rates == [0, 0]
    assert 'The schedule of the learning rate ends at iteration 3, the training at 6' in warnings
    assert 'train_cfg.max_iters was 4, now 6' in warnings


def test_a_schedule_that_follows_the_validations_cannot_be_replaced(toy_root, begun, tmp_path):
    config = base_config(toy_root)
    config.param_scheduler = [dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', by_epoch=True)]
    with pytest.raises(ValueError, match='ReduceOnPlateauLR depends on the validations so far'):
        resumed(begun, config, tmp_path)


def test_options_per_parameter_are_those_of_the_new_config(toy_root, begun, whole, tmp_path):
    config = base_config(toy_root)
    config.optim_wrapper.paramwise_cfg = dict(bias_lr_mult=2)
    record, warnings, runner = resumed(begun, config, tmp_path)
    groups = runner.optim_wrapper.optimizer.param_groups
    assert [group['initial_lr'] for group in groups] == [0.01, 0.02] and record.rates == whole[0].rates[DONE:]
    assert 'optim_wrapper.paramwise_cfg.bias_lr_mult was not set, now 2' in warnings
    assert all(state['step'] == LENGTH for state in runner.optim_wrapper.optimizer.state.values())


def test_settings_are_compared_one_by_one_and_never_executed(tmp_path):
    hidden = tmp_path / 'ran'
    text = Config(dict(a=1, b=dict(c=[1, 2], d=[dict(type='X', size=(3, 4))], g={}, **{'e f': None}))).pretty_text
    assert settings_of(text, '') == {
        'a': '1',
        'b.c': '[1, 2]',
        'b.d.0.type': "'X'",
        'b.d.0.size': '(3, 4)',
        'b.e f': 'None',
        'b.g': '{}',
    }
    code = f"a = open({str(hidden)!r}, 'w')\nb = [__import__('os').system('touch {hidden}')]\n"
    assert changed_settings(code, 'a = 1\n', '').keys() == {'a', 'b'}
    assert changed_settings("work_dir = 'a'\nx = 1", "work_dir = 'b'\nx = 2", '') == {'x': ('1', '2')}
    assert not hidden.exists()


def test_start_weights_that_have_only_moved_are_no_other_ones():
    moved = {'model.student.backbone.checkpoint': ("'/here/a.pth'", "'/there/a.pth'")}
    check_changes(moved, 'iter_4.pth')
    with pytest.raises(ValueError, match="was '/here/a.pth' and is now '/here/b.pth', but the weights are those"):
        check_changes({'model.student.backbone.checkpoint': ("'/here/a.pth'", "'/here/b.pth'")}, 'iter_4.pth')


def test_start_weights_are_not_read_again(toy_root, begun, tmp_path, monkeypatch):
    """Their files may be gone."""
    config = base_config(toy_root)
    config.load_from = str(begun)
    runner = build_runner(Config(dict(config.to_dict(), work_dir=str(tmp_path), resume=True)))
    monkeypatch.setattr(runner.model, 'init_weights', lambda: pytest.fail('start weights were read'))
    runner.train()
    assert runner.iter == LENGTH and torch.isfinite(runner.model.student[0].weight).all()
