"""The pure functions of the video step against what the reference implementation computes."""

import pytest
import torch

from tests.reference.golden import Golden, assert_close
from udass.flow import resize_flow, warp
from udass.uda.adaptation_losses import class_centroids, maximum_mean_discrepancy
from udass.uda.photometric import match_histograms


@pytest.fixture
def expected(golden_dir):
    return Golden(golden_dir).load('video_functions')


def test_warp(expected):
    warped = warp(tensor(expected, 'warp/image'), tensor(expected, 'warp/flow'))
    assert_close(warped, expected['warp/warped'])


def test_flow_resize(expected):
    half, flow = expected['flow_resize/half'], torch.from_numpy(expected['warp/flow'])
    size = tuple(half.shape[-2:])
    by_height = size[0] / flow.shape[2]
    assert_close(resize_flow(flow, size, ratio=(by_height, by_height)), half)
    if flow.shape[3] * size[0] == flow.shape[2] * size[1]:
        # The aspect stays: each component's own ratio is the same one.
        assert_close(resize_flow(flow, size), half)


def tensor(expected, key):
    return torch.from_numpy(expected[key])


def test_centroids_of_the_source(expected):
    labels = tensor(expected, 'centroid/source_label').long()
    assert_close(class_centroids(tensor(expected, 'centroid/source_logits'), labels), expected['centroid/source'])


def test_centroids_of_the_target(expected):
    assert_close(class_centroids(tensor(expected, 'centroid/target_logits')), expected['centroid/target'])


def test_distance_of_centroids(expected):
    value = maximum_mean_discrepancy(tensor(expected, 'centroid/source'), tensor(expected, 'centroid/target'))
    assert value.item() == pytest.approx(float(expected['mmd/value']), rel=1e-5)


def test_histogram_matching(expected):
    source, target = (tensor(expected, f'hist/{name}').permute(2, 0, 1)[None] for name in ('source', 'target'))
    assert_close(match_histograms(source, target)[0].permute(1, 2, 0), expected['hist/matched'])
