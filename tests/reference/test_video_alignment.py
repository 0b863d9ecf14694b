"""Centroids, their distance, and histogram matching against the reference's numbers."""

import pytest
import torch

from tests.reference.golden import Golden, assert_close
from udass.uda.adaptation_losses import class_centroids, maximum_mean_discrepancy
from udass.uda.photometric import match_histograms


@pytest.fixture
def expected(golden_dir):
    return Golden(golden_dir).load('video_functions')


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
