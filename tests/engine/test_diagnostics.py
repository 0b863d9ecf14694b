"""Hooks that watch a training: pseudo-labels, scores without labels, statistics of batch norm."""

import copy
import json

import pytest
import torch
from torch import nn

from tests.engine.toys import CLASSES, build_runner, same_weights, toy_config, train, write_toy_data
from tests.uda import small
from udass.cli import UsageError
from udass.cli.test import test as run_test
from udass.engine.diagnostics.batch_norm import estimated_statistics
from udass.engine.diagnostics.pseudo_labels import count_pseudo_labels, pseudo_label_scores
from udass.models.ranks import running_statistics
from udass.uda.clip import Clip


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp('large'), count=4, size=32)


@pytest.fixture(scope='module')
def plain(root, tmp_path_factory):
    """The runner of a training without any of these hooks."""
    return train(config_of(root, tmp_path_factory.mktemp('plain'), []))


def config_of(root, work_dir, hooks, **model):
    """A self-training of four iterations on toy images, which validates after two and four."""
    config = toy_config(root, work_dir, max_iters=4)
    student = copy.deepcopy(small.SEGMENTOR)
    student['decode_head']['num_classes'] = len(CLASSES)
    config.model = dict(type='DomainAdapter', student=student, **small.TEACHER, mixing=dict(type='ClassMix'), **model)
    config.train_cfg.val_interval = 2
    config.custom_hooks = hooks
    return config


def scalars(work_dir):
    """step -> all scalars that the log has of it."""
    found = {}
    for line in next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines():
        record = json.loads(line)
        found.setdefault(record['step'], {}).update(record)
    return found


def clip_of(labels, confidence):
    labels, confidence = torch.tensor(labels)[None, None, None], torch.tensor(confidence)[None, None, None]
    return Clip(torch.zeros(1, 1, 3, *labels.shape[-2:]), labels, torch.ones_like(confidence), confidence)


def test_accuracy_and_calibration_of_pseudo_labels_by_hand():
    # Of class 0 one of two labelled pixels is right, both at 0.99; of class 1 both are, at 0.5 and 0.9.
    clip = clip_of([0, 0, 0, 1, 1], [0.99, 0.99, 0.4, 0.5, 0.9])
    truth = torch.tensor([[[0, 1, 255, 1, 1]]])
    counts = count_pseudo_labels(clip, truth, classes=3, threshold=0.9)
    first, second, third = (pseudo_label_scores(part, pixels=5) for part in counts)
    assert first == pytest.approx(
        {'share': 0.6, 'confident': 2 / 3, 'accuracy': 0.5, 'confident_accuracy': 0.5, 'ece': 0.49}
    )
    assert second == pytest.approx(
        {'share': 0.4, 'confident': 0.5, 'accuracy': 1.0, 'confident_accuracy': 1.0, 'ece': (0.5 + 0.1) / 2}
    )
    assert third == {'share': 0}
    # 0.99 and 0.9 lie in different bins of 1/15: |0.99 * 2 - 1| + |0.5 - 1| + |0.9 - 1|.
    overall = pseudo_label_scores(counts.sum(0))
    assert overall == pytest.approx(
        {'confident': 0.6, 'accuracy': 0.75, 'confident_accuracy': 2 / 3, 'ece': (0.98 + 0.5 + 0.1) / 4}
    )


def test_without_labels_of_the_target_only_confidence_is_counted():
    # A pixel without a pseudo-label does not count.
    counts = count_pseudo_labels(clip_of([0, 1, 255], [0.95, 0.5, 1.0]), None, classes=2, threshold=0.9)
    assert pseudo_label_scores(counts.sum(0)) == {'confident': 0.5}
    assert [pseudo_label_scores(part, 2) for part in counts] == [
        {'share': 0.5, 'confident': 1.0},
        {'share': 0.5, 'confident': 0.0},
    ]


def test_counting_does_not_wait_for_the_device():
    clip = clip_of([0, 1], [0.9, 0.5]).map(lambda value: value.to('meta'))
    truth = torch.zeros(1, 1, 2, dtype=torch.uint8, device='meta')
    assert count_pseudo_labels(clip, truth, classes=2, threshold=0.9).device.type == 'meta'


def test_the_log_shows_pseudo_labels_and_the_training_is_the_same(root, tmp_path, plain):
    watched = train(config_of(root, tmp_path, [dict(type='PseudoLabelHook')]))
    assert same_weights(watched.model.student, plain.model.student)
    assert same_weights(watched.model.teacher, plain.model.teacher)
    log = scalars(tmp_path)
    assert {2, 4} <= log.keys()
    for step in (2, 4):
        # Threshold 0.3 of the test is below the smallest confidence of three classes, which all pixels have.
        assert log[step]['pseudo_labels.confident'] == 1
        assert log[step]['pseudo_labels.confident_accuracy'] == log[step]['pseudo_labels.accuracy']
        assert all(0 <= log[step][f'pseudo_labels.{name}'] <= 1 for name in ('accuracy', 'ece', 'agreement'))
        assert sum(log[step][f'pseudo_labels.share.{name}'] for name in CLASSES) == pytest.approx(1)


def test_pseudo_labels_of_a_method_without_a_teacher_are_not_logged(root, tmp_path):
    config = config_of(root, tmp_path, [dict(type='PseudoLabelHook')])
    config.model = dict(type='DomainAdapter', student=config.model.student)
    train(config)
    assert not any('pseudo_labels' in key for key in scalars(tmp_path)[4])


def test_scores_without_labels_join_those_of_the_validation(root, tmp_path, plain):
    hook = dict(type='TargetValidationHook', max_images=3)
    runner = train(config_of(root, tmp_path, [hook]))
    validation = json.loads((tmp_path / 'validation.json').read_text())
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    first, last = (record for record in map(json.loads, lines) if 'mIoU' in record)
    for name in ('entropy', 'InfoMax', 'SND'):
        assert validation[name] == last[name] and first[name] >= 0
    assert runner.hooks[0].evaluator.metrics[0].results == []
    assert len(runner.hooks[0].dataloader.dataset) == 3
    assert same_weights(runner.model.student, plain.model.student)


def test_a_target_validation_needs_images_and_names_of_its_own(root, tmp_path):
    config = config_of(root, tmp_path, [dict(type='TargetValidationHook')])
    del config.train_dataloader['target']
    config.model = dict(type='DomainAdapter', student=config.model.student)
    config.train_cfg.domains = ['source']
    with pytest.raises(ValueError, match='give the hook a dataloader'):
        train(config)
    evaluator = [dict(type='ClassIoUMetric')]
    hook = dict(type='TargetValidationHook', evaluator=evaluator, dataloader=config.val_dataloader)
    with pytest.raises(ValueError, match='metrics of the same name as the validation: aAcc, mAcc, mIoU'):
        train(config_of(root, tmp_path / 'same', [hook]))


def test_estimated_statistics_are_the_mean_of_those_of_the_batches():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(1, momentum=0.3))
    network[1].running_mean.fill_(7.0)
    with estimated_statistics(network):
        for values in ([0.0, 2.0], [4.0, 10.0]):
            network(torch.tensor(values).view(2, 1, 1, 1))
    # Means 1 and 7; variances 2 and 18 (n - 1). Dropout is off.
    assert network[1].running_mean.item() == 4 and network[1].running_var.item() == 10
    assert network[1].momentum == 0.3 and not network[1].training


def test_statistics_of_the_target_are_tested_and_saved_and_leave_the_training_alone(root, tmp_path, plain):
    runner = train(config_of(root, tmp_path, [dict(type='BatchNormStatisticsHook', num_batches=3)]))
    found, others = (running_statistics(one.model.student) for one in (runner, plain))
    assert not any(torch.equal(one, other) for one, other in zip(found, others, strict=True))
    parameters = zip(runner.model.parameters(), plain.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in parameters)
    # The hook's last estimate is the checkpoint's, and estimates at the same weights are equal.
    state = torch.load(tmp_path / 'iter_4.pth', weights_only=False)['state_dict']
    assert all(
        torch.equal(value, state[name]) for name, value in runner.model.state_dict().items() if 'running' in name
    )
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'BatchNormStatisticsHook')
    before = [value.clone() for value in found]
    runner.train_loop._iter = 3
    hook.after_train_iter(runner, 3)
    assert all(torch.equal(one, other) for one, other in zip(before, found, strict=True))


def test_a_test_estimates_the_statistics_that_the_hook_saves(root, tmp_path, plain):
    train(config_of(root, tmp_path / 'hook', [dict(type='BatchNormStatisticsHook', num_batches=3)]))
    config, checkpoint = config_of(root, tmp_path / 'test', []), f'{plain.work_dir}/iter_4.pth'
    estimated = run_test(config, checkpoint, target_statistics=3, json=tmp_path / 'test.json')
    assert estimated == run_test(config, tmp_path / 'hook' / 'iter_4.pth') != run_test(config, checkpoint)
    assert json.loads((tmp_path / 'test.json').read_text())['target_statistics'] == 3
    with pytest.raises(UsageError, match='at least 1 batch'):
        run_test(config, checkpoint, target_statistics=0)


def test_statistics_are_estimated_only_where_there_are_any(root, tmp_path):
    config = toy_config(root, tmp_path)
    config.custom_hooks = [dict(type='BatchNormStatisticsHook')]
    with pytest.raises(ValueError, match='need a network with running statistics of batch norm'):
        build_runner(config).train()
    with pytest.raises(ValueError, match='at least 1'):
        build_runner(config, custom_hooks=[dict(type='BatchNormStatisticsHook', num_batches=0)])
