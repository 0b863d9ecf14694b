import json

import pytest
import torch
from mmengine.hooks import Hook

from tests.engine.toys import build_runner, toy_config, train
from udass.engine.hooks import ScalarLogHook
from udass.evaluation.counts import ImageCounts


@pytest.fixture
def readings(monkeypatch):
    """Names of the calls that wait for the device."""
    calls = []
    for name in ('item', 'tolist', '__float__'):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, *args, _name=name, _method=method: calls.append(_name) or _method(self, *args),
        )
    return calls


def test_scalars_are_read_once_per_interval_as_means(readings):
    hook = ScalarLogHook(interval=4)

    class Hub:
        log_scalars, info, updates = {}, {}, []

        def update_info(self, key, value):
            self.info[key] = value

        def get_info(self, key, default=None):
            return self.info.get(key, default)

        def update_scalar(self, key, value):
            self.updates.append((key, value))

    class Optimizer:
        def get_lr(self):
            return {'lr': [0.1]}

    class Run:
        iter, max_iters, message_hub, optim_wrapper = 0, 10, Hub(), Optimizer()

    read_at = []
    for Run.iter in range(10):
        hook.before_train_iter(Run, Run.iter)
        hook.after_train_iter(
            Run,
            Run.iter,
            outputs={'loss': torch.tensor(float(Run.iter), requires_grad=True), 'acc': torch.tensor([1]), 'host': 2},
        )
        if readings:
            read_at.append((Run.iter + 1, len(readings)))
            readings.clear()
    assert read_at == [(4, 1), (8, 1), (10, 1)]
    losses = [value for key, value in Hub.updates if key == 'train/loss']
    assert losses == [1.5, 5.5, 8.5]
    assert [value for key, value in Hub.updates if key == 'train/host'] == [2, 2, 2]
    assert [value for key, value in Hub.updates if key == 'train/lr'] == [0.1, 0.1, 0.1]


def test_what_is_not_measured_any_more_leaves_the_log(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path, max_iters=6)
    runner = train(config)
    assert 'train/early' not in runner.message_hub.log_scalars
    lines = (next(tmp_path.glob('*/vis_data/scalars.json'))).read_text().splitlines()
    assert ['early' in line for line in lines if 'count' in line] == [True, False, False]


def test_the_interval_is_that_of_the_logger(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=5), **{'default_hooks.logger.interval': 3})
    assert next(hook for hook in runner.hooks if isinstance(hook, ScalarLogHook)).interval == 3
    assert runner.message_hub.get_scalar('train/count').data[0].tolist() == [2.0, 4.5]


def logged(folder):
    lines = (next(folder.glob('*/vis_data/scalars.json'))).read_text().splitlines()
    records = [record for record in map(json.loads, lines) if 'count' in record]
    assert len({record['step'] for record in records}) == len(records), 'an iteration was logged twice'
    return {record['step']: record for record in records}


def test_what_comes_after_the_last_full_interval_is_logged(toy_root, tmp_path):
    train(toy_config(toy_root, tmp_path / 'five', max_iters=5), **{'default_hooks.logger.interval': 3})
    assert {step: record['count'] for step, record in logged(tmp_path / 'five').items()} == {3: 2.0, 5: 4.5}
    # Shorter than an interval.
    train(toy_config(toy_root, tmp_path / 'two', max_iters=2), **{'default_hooks.logger.interval': 50})
    assert {step: record['count'] for step, record in logged(tmp_path / 'two').items()} == {2: 1.5}


class RenamedLosses(Hook):
    """The loss has a name of its own in each pair of iterations."""

    priority = 'HIGHEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        outputs[f'loss_{batch_idx // 2}'] = torch.tensor(float(batch_idx))


@pytest.mark.parametrize('read_every', [1, 2, 6, None])
def test_losses_that_change_names_are_all_in_the_log(toy_root, tmp_path, read_every):
    """However often they are read from the device."""
    runner = build_runner(
        toy_config(toy_root, tmp_path, max_iters=12),
        **{'default_hooks.logger.interval': 6, 'default_hooks.runtime_info.interval': read_every},
    )
    runner.register_hook(RenamedLosses())
    runner.train()
    names = {
        step: sorted(name for name in record if name.startswith('loss_')) for step, record in logged(tmp_path).items()
    }
    assert names == {6: ['loss_0', 'loss_1', 'loss_2'], 12: ['loss_3', 'loss_4', 'loss_5']}


def test_the_scores_of_a_validation_are_those_of_a_test(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=3))
    scores = json.loads((tmp_path / 'validation.json').read_text())
    assert (scores['iteration'], scores['is_test'], scores['images'], scores['branch']) == (3, True, 8, 'student')
    tested = runner.test()
    assert scores['mIoU'] == tested['mIoU'] and scores['pixel_accuracy'] == tested['aAcc']
    details = json.loads((tmp_path / 'validation.details.json').read_text())
    assert details == runner.test_evaluator.metrics[0].details
    counts = ImageCounts.read(tmp_path / 'validation.counts.npz')
    assert counts.confusion.sum(0).tolist() == details['confusion'] and len(counts.images) == 8
    train(toy_config(toy_root, tmp_path / 'other', max_iters=3), **{'test_dataloader.batch_size': 2})
    assert not json.loads((tmp_path / 'other' / 'validation.json').read_text())['is_test']


@pytest.mark.parametrize('interval', [0, -1])
def test_impossible_intervals_are_refused(interval):
    with pytest.raises(ValueError, match='at least 1'):
        ScalarLogHook(interval=interval)
