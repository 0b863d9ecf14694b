"""How good a flow is, against numbers computed by hand."""

import pytest
import torch

from udass.evaluation.flow_quality import EndPointError, WarpAgreement

WIDTH = 4


def pair(current, previous):
    """Frames (2, 3, 1, W), grey as the labels times 10, and labels (2, 1, W)."""
    labels = torch.tensor([[current], [previous]])
    return (labels * 10).to(torch.uint8)[:, None].repeat(1, 3, 1, 1), labels


def uniform(dx):
    flow = torch.zeros(2, 1, WIDTH)
    flow[0] = dx
    return flow


def scores(current, previous, flow, **regions):
    meter = WarpAgreement('abc')
    everywhere = torch.ones(1, WIDTH, dtype=torch.bool)
    frames, labels = pair(current, previous)
    meter.add(frames.clamp(max=100), labels, flow, {'all': everywhere, **regions})
    return meter.scores()


def test_labels_and_pictures_without_motion():
    # a 1 of 2, b 1 of 1 + 2, c 0 of 1: the last pixel was b and is c.
    result = scores([0, 0, 1, 2], [0, 1, 1, 1], uniform(0))['all']
    assert result == {'pixels': 50.0, 'mIoU': round(100 * (1 / 2 + 1 / 3 + 0) / 3, 3), 'grey': 5.0, 'share': 100.0}


def test_the_right_motion_brings_labels_into_line():
    """Everything moved one to the right; the first pixel came in, and what is not there is wrong."""
    current, previous = [2, 0, 1, 1], [0, 1, 1, 2]
    assert scores(current, previous, uniform(0))['all']['pixels'] == 25.0
    result = scores(current, previous, uniform(-1), seen=torch.tensor([[False, True, True, True]]))
    assert result['all']['pixels'] == 75.0 and result['all']['mIoU'] == pytest.approx(200 / 3, abs=1e-3)
    assert result['seen'] == {'pixels': 100.0, 'mIoU': 100.0, 'grey': 0.0, 'share': 75.0}


def test_pixels_without_label_in_one_of_the_frames_do_not_count():
    result = scores([0, 0, 255, 1], [0, 255, 0, 1], uniform(0))['all']
    assert result['pixels'] == 100.0 and result['mIoU'] == 100.0


def test_pairs_are_summed():
    meter = WarpAgreement('ab')
    everywhere = torch.ones(1, WIDTH, dtype=torch.bool)
    for current, previous in (([0, 0, 0, 0], [0, 0, 0, 0]), ([1, 1, 1, 1], [0, 0, 1, 1])):
        meter.add(*pair(current, previous), uniform(0), {'all': everywhere})
    # a 4 of 4 + 2, b 2 of 4.
    assert meter.scores()['all'] == {
        'pixels': 75.0,
        'mIoU': round(100 * (4 / 6 + 2 / 4) / 2, 3),
        'grey': 2.5,
        'share': 100.0,
    }


def test_end_point_error():
    meter = EndPointError()
    exact = torch.zeros(2, 1, 4)
    exact[1] = 6
    flow = exact.clone()
    # Errors 0, 5, 1 and one that is hidden.
    flow[:, 0, 1] += torch.tensor([3.0, 4.0])
    flow[0, 0, 2] -= 1
    flow[0, 0, 3] += 100
    meter.add(flow, exact, torch.tensor([[True, True, True, False]]))
    assert meter.scores() == {'mean': 2.0, 'median': 1.0, 'motion': 6.0, 'outliers': round(100 / 3, 3)}
