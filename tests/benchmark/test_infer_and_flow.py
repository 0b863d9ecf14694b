"""Inference and flow at 64 pixels."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.uda.small import FLOW_GUIDED, HRDA, SEGMENTOR
from udass.benchmark import infer
from udass.benchmark.flow import benchmark_flow, frame_pair
from udass.benchmark.infer import benchmark_inference
from udass.benchmark.mix import build_network
from udass.flow import DISFlow

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def config_of(segmentor):
    return Config(dict(model=dict(type='DomainAdapter', student=copy.deepcopy(segmentor))))


@pytest.mark.parametrize('segmentor', [SEGMENTOR, HRDA, FLOW_GUIDED])
def test_every_network_predicts_classes_at_the_size_of_the_picture(segmentor):
    labels = infer._predictor(config_of(segmentor), 3, (64, 96), CPU)()
    assert len(labels) == 3
    for label in labels:
        assert label.shape == (1, 64, 96) and label.min() >= 0 and label.max() < 4


def test_a_flow_guided_network_is_given_flow(monkeypatch):
    seen = []
    network_of = build_network

    def build(config):
        network = network_of(config)
        network.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append((args[0].shape, kwargs['flow'])), with_kwargs=True
        )
        return network

    monkeypatch.setattr(infer, 'build_network', build)
    infer._predictor(config_of(FLOW_GUIDED), 2, (64, 96), CPU)()
    shape, flow = seen[0]
    assert shape == (2, 2, 3, 64, 96) and flow.shape == (2, 1, 2, 64, 96) and 4 < flow.max() < 5


def test_two_networks_give_two_rows_and_their_ratio():
    result = benchmark_inference(dict(plain=config_of(SEGMENTOR), hrda=config_of(HRDA)), 2, (64, 96), 3, 1, CPU)
    for row, name in zip(result['rows'], ('plain', 'hrda'), strict=True):
        assert (row['config'], row['batch'], row['size'], row['repeats']) == (name, 2, [64, 96], 3)
        assert 0 < row['low'] <= row['median'] <= row['high']
        assert row['images_per_second'] == pytest.approx(2 / row['median'])
        # At least the scores of the batch.
        assert row['peak_bytes'] > 2 * 4 * 64 * 96 * 4
    # Many windows of detail besides the context.
    assert result['ratio']['low'] > 1


def test_one_network_has_no_ratio():
    assert set(benchmark_inference(dict(plain=config_of(SEGMENTOR)), 1, (64, 64), 1, 0, CPU)) == {'rows'}


def test_a_network_is_built_without_its_start_weights():
    backbone = dict(SEGMENTOR['backbone'], init_cfg=dict(type='Pretrained', checkpoint='gone.pth'))
    network = build_network(config_of(dict(SEGMENTOR, backbone=backbone)))
    assert network.backbone.init_cfg is None and network.num_classes == 4


def test_flow_is_measured_by_preset_beside_warping():
    result = benchmark_flow((64, 96), 3, 1, CPU, ['ultrafast', 'medium'], num_classes=5)
    assert result['size'] == [64, 96] and list(result['rows']) == ['DIS ultrafast', 'DIS medium', 'warping 5 scores']
    for timing in result['rows'].values():
        # Seconds: hours for such frames would be milliseconds mistaken for them.
        assert timing['repeats'] == 3 and 0 < timing['low'] <= timing['median'] <= timing['high'] < 1


def test_the_frames_move_by_known_pixels():
    first, second = frame_pair((128, 192))
    assert first.shape == second.shape == (128, 192, 3) and first.dtype == np.uint8
    assert np.array_equal(second[3:, 7:], first[:-3, :-7])
    # From a frame to the one before it: the content was up and left.
    flow = DISFlow()(second, first)[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), (-7, -3), atol=0.3)
