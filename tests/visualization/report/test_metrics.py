import math
from pathlib import Path

import numpy as np
import pytest

from udass.visualization.report import metrics
from udass.visualization.report.curves import draw_curve, mean_over_seeds, training_curves
from udass.visualization.report.page import differences, runner_settings
from udass.visualization.report.reading import Method, Run


def run(**values):
    return Run(Path('x'), **values)


def test_mean_and_deviation_over_seeds():
    method = Method(
        'a',
        [
            run(result={'mIoU': score, 'IoU': {'road': iou}})
            for score, iou in ((40.0, 50.0), (44.0, None), (45.0, 60.0))
        ],
    )
    assert metrics.metric_of(method, 'mIoU').text() == '43.0 ± 2.6'
    road = metrics.class_iou(method, 'road')
    assert (road.mean, road.std) == (55.0, pytest.approx(math.sqrt(50)))
    assert metrics.class_iou(method, 'car') is None
    assert metrics.spread([3.0]).text(2) == '3.00'


def test_time_and_memory_are_those_of_the_log_unless_measured():
    records = [{'step': 10, 'time': 0.5, 'memory': 100}, {'step': 30, 'time': 1.0, 'memory': 300}]
    assert metrics.training_seconds(run(training=records)) == 10 * 0.5 + 20 * 1.0
    assert metrics.training_seconds(run(training=records, result={'train_seconds': 7.0})) == 7.0
    assert metrics.log_values(run(training=records), 'time') == [0.5, 1.0]
    assert metrics.log_values(run(training=records), 'memory') == [100, 300]
    assert metrics.training_seconds(run()) is None and metrics.log_values(run(), 'time') == []


def test_confusion_is_the_share_of_the_true_class_over_all_seeds():
    details = [
        {'classes': ['a', 'b', 'c'], 'confusion': [[6, 2, 0], [1, 1, 0], [0, 0, 0]]},
        {'classes': ['a', 'b', 'c'], 'confusion': [[0, 2, 0], [0, 2, 0], [0, 0, 0]]},
    ]
    confusion = metrics.confusion_of(Method('m', [run(details=part) for part in details]))
    assert confusion.shares[:2].tolist() == [[0.6, 0.4, 0.0], [0.25, 0.75, 0.0]]
    assert np.isnan(confusion.shares[2]).all()
    assert confusion.largest() == [('a', 'b', 0.4), ('b', 'a', 0.25)]
    assert metrics.confusion_of(Method('m', [run()])) is None


def images(**by_name):
    return run(details={'images': [{'image': name, 'mIoU': score, 'IoU': []} for name, score in by_name.items()]})


def test_images_that_gain_and_lose_most_from_the_first_to_the_last():
    first, middle = images(a=10.0, b=20.0, c=30.0, d=40.0, only_here=1.0), images(a=0.0, b=0.0, c=0.0, d=0.0)
    last = images(a=30.0, b=25.0, c=30.0, d=5.0, unlabelled=None)
    gains, losses = metrics.gains_and_losses([first, middle, last], 5)
    assert [(choice.image, choice.miou, choice.gain) for choice in gains] == [
        ('a', [10.0, 0.0, 30.0], 20.0),
        ('b', [20.0, 0.0, 25.0], 5.0),
    ]
    assert [choice.image for choice in losses] == ['d']
    best, worst = metrics.best_and_worst(first, 3)
    assert [[choice.image for choice in group] for group in (best, worst)] == [['d', 'c', 'b'], ['only_here', 'a']]


def test_curves_of_seeds_are_averaged_where_all_have_values():
    steps, mean, deviation = mean_over_seeds([{1: 1.0, 2: 2.0, 3: 9.0}, {1: 3.0, 2: 2.0}, {}])
    assert (steps.tolist(), mean.tolist()) == ([1, 2], [2.0, 2.0])
    assert deviation == pytest.approx([math.sqrt(2), 0.0])
    assert mean_over_seeds([{5: 1.0}])[2] is None
    # A loss that one of the seeds does not have at first, and no seed has at the end.
    steps, mean, deviation = mean_over_seeds([{1: 1.0, 2: 2.0, 3: None}, {1: None, 2: 4.0, 3: None}])
    assert steps.tolist() == [1, 2] and mean.tolist() == [1.0, 3.0]
    assert deviation[1] == 2**0.5 and math.isnan(deviation[0])
    assert len(mean_over_seeds([{}])[0]) == 0


def test_every_scalar_of_training_has_a_chart_in_the_order_that_one_reads_them():
    record = {
        'lr': 1.0,
        'confidence': 0.5,
        'mix.decode.loss_ce': 1.0,
        'source.decode.loss_ce': 1.0,
        'loss': 2.0,
        'other': 1.0,
        'time': 0.1,
        'data_time': 0.1,
        'iter': 1,
        'step': 1,
        'memory': 9,
    }
    titles = [title for title, _ in training_curves([Method('a', [run(training=[record])])])]
    assert titles == [
        'loss, all passes',
        'mix.decode.loss_ce',
        'source.decode.loss_ce',
        "confidence of the teacher's labels",
        'learning rate',
        'other',
    ]


def test_charts_take_their_colours_from_the_style_sheet():
    record = [{'step': 1, 'loss': 2.0}, {'step': 2, 'loss': 1.0}]
    svg = draw_curve([Method(name, [run(training=record), run(training=record)]) for name in 'ab'], 'training', 'loss')
    assert svg.startswith('<svg') and 'var(--s1)' in svg and 'var(--s2)' in svg and 'var(--ink)' in svg
    assert 'var(--s3)' not in svg and '#0102' not in svg
    assert 'iteration</text>' in svg


def test_settings_that_differ():
    first = {
        'model': {'type': 'A', 'mixing': None},
        'randomness': {'seed': 0},
        'work_dir': 'a',
        'variable': 1,
        'param_scheduler': [{'type': 'Linear', 'end': 5}, {'type': 'Poly'}],
        'train_cfg': {'size': [1, 2]},
    }
    second = {
        'model': {'type': 'A', 'ema': {'alpha': 0.9}},
        'randomness': {'seed': 1},
        'work_dir': 'b',
        'variable': 2,
        'param_scheduler': [{'type': 'Linear', 'end': 7}],
        'train_cfg': {'size': (1, 2)},
    }
    assert differences([first, second]) == [
        ('model.ema.alpha', ['-', '0.9']),
        ('param_scheduler.0.end', ['5', '7']),
        ('param_scheduler.1.type', ["'Poly'", '-']),
    ]
    assert runner_settings({'model': {'type': 'A', 'size': (1, 2), 'empty': {}}}) == {
        'model.type': "'A'",
        'model.size': '[1, 2]',
        'model.empty': '{}',
    }
