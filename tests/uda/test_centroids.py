"""Class means, their distance, and histogram matching, by hand and by their properties."""

import pytest
import torch

from udass.uda.adaptation_losses import class_centroids, maximum_mean_discrepancy
from udass.uda.photometric import match_histograms


def test_centroids_by_hand():
    # Four pixels: two are predicted class 0, one class 1, one class 2.
    logits = torch.tensor([[4.0, 0.0, 1.0], [2.0, 1.0, 0.0], [0.0, 5.0, 0.0], [0.0, 1.0, 3.0]]).T.reshape(1, 3, 2, 2)
    assert class_centroids(logits, min_pixels=1).tolist() == [[3.0, 0.5, 0.5], [0.0, 5.0, 0.0], [0.0, 1.0, 3.0]]
    assert class_centroids(logits, min_pixels=2).tolist() == [[3.0, 0.5, 0.5], [0.0] * 3, [0.0] * 3]
    labels = torch.tensor([0, 255, 1, 0]).reshape(1, 2, 2)
    assert class_centroids(logits, labels, min_pixels=1).tolist() == [[4.0, 0.0, 1.0], [0.0, 5.0, 0.0], [0.0] * 3]


def test_centroids_take_the_whole_batch_and_have_gradients():
    logits = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    centroids = class_centroids(logits)
    joined = class_centroids(logits.transpose(0, 1).reshape(1, 4, 18, 5))
    torch.testing.assert_close(centroids, joined)
    centroids.sum().backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


@pytest.mark.parametrize('vectors', [torch.randn(4, 4), torch.zeros(4, 4)], ids=['random', 'no class on either side'])
def test_equal_sets_have_distance_zero_and_a_finite_gradient(vectors):
    first = vectors.clone().requires_grad_()
    distance = maximum_mean_discrepancy(first, vectors)
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-6) and torch.isfinite(first.grad).all()


def test_the_distance_grows_with_the_shift_and_following_its_gradient_shrinks_it():
    fixed = torch.randn(6, 6, generator=torch.Generator().manual_seed(1))
    near, far = (maximum_mean_discrepancy(fixed + shift, fixed).item() for shift in (0.5, 2.0))
    assert 0 < near < far
    moved = (fixed + 1).requires_grad_()
    before = maximum_mean_discrepancy(moved, fixed)
    before.backward()
    assert maximum_mean_discrepancy(moved - 0.5 * moved.grad / moved.grad.norm(), fixed) < before


def test_matching_an_image_to_itself_changes_nothing():
    image = torch.randint(0, 256, (2, 3, 9, 7), generator=torch.Generator().manual_seed(0)).float()
    torch.testing.assert_close(match_histograms(image, image), image)


def test_matching_is_monotone_per_channel_and_takes_other_sizes():
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 60, (1, 2, 12, 12), generator=random).float()
    reference = torch.randint(100, 256, (1, 2, 20, 30), generator=random).float()
    matched = match_histograms(image, reference)
    assert matched.min() >= reference.min() and matched.max() == reference.max()
    for before, after in zip(image.flatten(2)[0], matched.flatten(2)[0], strict=True):
        assert (after[before.argsort()].diff() >= 0).all()
    assert abs(matched.mean() - reference.mean()) < 3


def test_matching_by_hand():
    image = torch.tensor([0.0, 0.0, 1.0, 2.0]).reshape(1, 1, 2, 2)
    reference = torch.tensor([10.0, 20.0, 20.0, 40.0]).reshape(1, 1, 2, 2)
    # Quantiles 0.5, 0.75, 1 among the reference's 10: 0.25, 20: 0.75, 40: 1.
    assert match_histograms(image, reference).flatten().tolist() == [15.0, 15.0, 20.0, 40.0]
