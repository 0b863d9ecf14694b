"""Scores without labels, against values computed by hand."""

import math

import numpy as np
import pytest
import torch

from udass.evaluation import UnlabelledMetric
from udass.evaluation.unlabelled import ensemble_agreement, entropy, rank_correlation, soft_neighbourhood_density


def sample(probabilities, name='x.png'):
    """An image of 1 x n pixels whose logits give these probabilities (n, C)."""
    logits = torch.tensor(probabilities).clamp_min(1e-30).log().T[:, None]
    return {'seg_logits': {'data': logits}, 'img_path': f'data/{name}'}


def evaluated(samples, **options):
    metric = UnlabelledMetric(**options)
    metric.dataset_meta = {'classes': ['a', 'b']}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_entropy_and_information_by_hand():
    certain = evaluated([sample([[1.0, 0.0], [1.0, 0.0]]), sample([[0.0, 1.0], [0.0, 1.0]], 'y.png')])
    assert certain['entropy'] == 0 and certain['InfoMax'] == pytest.approx(math.log(2), abs=1e-4)
    one_class = evaluated([sample([[1.0, 0.0], [1.0, 0.0]])])
    assert one_class['InfoMax'] == 0
    unsure = evaluated([sample([[0.5, 0.5], [0.5, 0.5]])])
    assert unsure['entropy'] == pytest.approx(math.log(2), abs=1e-4) and unsure['InfoMax'] == 0
    mixed = evaluated([sample([[0.9, 0.1], [0.2, 0.8]])])
    mean_entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1) + 0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / 2
    assert mixed['entropy'] == pytest.approx(mean_entropy, abs=1e-4)
    marginal = -(0.55 * math.log(0.55) + 0.45 * math.log(0.45))
    assert mixed['InfoMax'] == pytest.approx(marginal - mean_entropy, abs=1e-4)
    assert entropy(torch.tensor([[1.0, 0.0]])).tolist() == [0.0]


def test_soft_neighbourhood_density_by_hand():
    # Equal pixels have all others as neighbours alike.
    assert soft_neighbourhood_density(torch.tensor([[0.7, 0.3]]).repeat(5, 1)) == pytest.approx(math.log(4), abs=1e-5)
    # Two equal pixels and one that is orthogonal to both, at a temperature of 1: exp(1) and exp(0) for the equal ones,
    # two times exp(0) for the other.
    share = math.e / (math.e + 1)
    equal = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    density = soft_neighbourhood_density(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), temperature=1)
    assert density == pytest.approx((2 * equal + math.log(2)) / 3, abs=1e-5)


def test_the_density_of_many_pixels_is_computed_in_parts(monkeypatch):
    probabilities = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    whole = soft_neighbourhood_density(probabilities)
    monkeypatch.setattr('udass.evaluation.unlabelled._ROWS', 7)
    assert soft_neighbourhood_density(probabilities) == pytest.approx(whole, abs=1e-5)


def test_the_same_pixels_are_drawn_whatever_the_order_of_the_images():
    random = torch.Generator().manual_seed(0)
    samples = [sample(torch.rand(200, 3, generator=random).softmax(1).tolist(), f'{number}.png') for number in range(3)]
    found = evaluated(samples, pixels_per_image=5)
    assert evaluated(samples[::-1], pixels_per_image=5) == pytest.approx(found)
    assert found != evaluated(samples, pixels_per_image=200)


def test_a_binary_head_has_two_classes():
    binary = {'seg_logits': {'data': torch.zeros(1, 1, 4)}, 'img_path': 'x.png'}
    assert evaluated([binary])['entropy'] == pytest.approx(math.log(2), abs=1e-4)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match='returns no logits of a.png'):
        evaluated([{'img_path': 'a.png'}])
    with pytest.raises(ValueError, match='pixels_per_image >= 1'):
        UnlabelledMetric(pixels_per_image=0)
    metric = UnlabelledMetric()
    with pytest.raises(ValueError, match='there are no images'):
        metric.compute_metrics([])


def test_the_agreement_with_the_vote_by_hand():
    # Votes: 0, 1, 1, and 0 of a tie of three.
    runs = [np.array([[0, 1], [1, 0]]), np.array([[0, 1], [2, 1]]), np.array([[0, 2], [1, 2]])]
    assert ensemble_agreement(runs, classes=3) == [100.0, 50.0, 50.0]


def test_rank_correlation():
    assert rank_correlation([1, 2, 30], [5, 6, 7]) == pytest.approx(1)
    assert rank_correlation([3, 2, 1, 0], [5, 6, 7, 9]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
