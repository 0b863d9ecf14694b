"""Crops: place, variety, search for the rare class."""

import numpy as np
import pytest

from udass.datasets import isolated_randomness
from udass.datasets.transforms import RareClassCrop
from udass.datasets.transforms.cropping import has_dominant_class, window_counts


def sample(labels, labelled=True, **changes):
    """Results of a pipeline; the pixels of the image are their (y, x)."""
    height, width = labels.shape
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([y, x, y * 0], axis=-1)
    label = dict(gt_seg_map=labels, seg_fields=['gt_seg_map']) if labelled else {}
    return dict(img=image, img_path='a.png', **label, **changes)


def crops(transform, results, count):
    """(y, x, labels) of ``count`` random crops of equal results."""
    drawn = []
    with isolated_randomness(0):
        for _ in range(count):
            cropped = transform(dict(results))
            assert cropped['img_shape'] == cropped['img'].shape[:2] == transform.crop_size
            drawn.append((*cropped['img'][0, 0, :2].tolist(), cropped.get('gt_seg_map')))
    return drawn


def corners(*arguments):
    return [crop[:2] for crop in crops(*arguments)]


def test_image_and_label_are_cropped_alike_and_everywhere():
    labels = (np.arange(6)[:, None] * 10 + np.arange(8)).astype(np.uint8)
    drawn = crops(RareClassCrop(crop_size=(4, 5)), sample(labels), 200)
    assert {(y, x) for y, x, _ in drawn} == {(y, x) for y in range(3) for x in range(4)}
    assert all(part.tolist() == labels[y : y + 4, x : x + 5].tolist() for y, x, part in drawn)
    assert corners(RareClassCrop(crop_size=[6, 8]), sample(labels), 1) == [(0, 0)]


@pytest.mark.parametrize('crop_size', [(7, 8), (6, 9), 7])
def test_image_smaller_than_the_crop(crop_size):
    message = r'a\.png is 8x6 pixels \(width x height\) when it reaches the crop of .*: choose a smaller crop_size, or'
    with pytest.raises(ValueError, match=message):
        RareClassCrop(crop_size=crop_size)(sample(np.zeros((6, 8), np.uint8)))


def half_and_half():
    """(10, 100): the first 95 columns are class 0, the rest class 1."""
    labels = np.zeros((10, 100), np.uint8)
    labels[:, 95:] = 1
    return labels


def test_no_class_fills_the_crop():
    free = corners(RareClassCrop(crop_size=10), sample(half_and_half()), 200)
    varied = corners(RareClassCrop(crop_size=10, cat_max_ratio=0.75), sample(half_and_half()), 200)
    # 3 of the 91 places have 3, 4 or 5 columns of class 1, and the search looks at 11: 1 - (88/91)^11 = 0.31.
    shares = [np.mean([x > 87 for _, x in drawn]) for drawn in (free, varied)]
    assert shares[0] < 0.1 and 0.2 < shares[1] < 0.42


def test_ignored_pixels_are_no_second_class():
    labels = np.zeros((10, 40), np.uint8)
    labels[:, :20] = 255
    labels[:, 30:] = 1
    drawn = corners(RareClassCrop(crop_size=10, cat_max_ratio=0.75), sample(labels), 200)
    assert np.mean([x > 20 for _, x in drawn]) > 0.8


def test_without_labels_all_crops_are_equally_likely():
    plain = corners(RareClassCrop(crop_size=10), sample(half_and_half(), labelled=False), 100)
    results = sample(half_and_half(), labelled=False, rare_class=1, rare_class_min_pixels=10)
    assert corners(RareClassCrop(crop_size=10, cat_max_ratio=0.1), results, 100) == plain and len(set(plain)) > 50


@pytest.mark.parametrize('share', [0.3, 0.5, 0.75, 0.97])
def test_a_dominant_class_is_found_exactly(share):
    generator = np.random.default_rng(0)
    found = []
    for classes in (1, 2, 3, 19):
        for _ in range(40):
            # The search orders the classes by 6 of the 252 pixels, which often miss the largest.
            labels = generator.choice(classes, (12, 21), p=generator.dirichlet([0.4] * classes)).astype(np.uint8)
            labels[generator.random(labels.shape) < generator.random()] = 255
            labels[: generator.integers(0, 13)] = generator.choice([0, 255])
            found.append(has_dominant_class(labels, share, 255))
            assert found[-1] != is_varied(labels, share)
    assert {*found} == {True, False}


def test_exactly_the_share_is_dominant_and_nothing_labelled_too():
    labels = np.repeat(np.array([3, 1, 255, 255], np.uint8), [6, 2, 1, 3]).reshape(3, 4)
    assert has_dominant_class(labels, 0.75, 255) and not has_dominant_class(labels, 0.76, 255)
    assert has_dominant_class(np.full((3, 4), 255, np.uint8), 0.75, 255)


@pytest.mark.parametrize(
    'size, crop_size',
    [((7, 9), (3, 4)), ((7, 9), (5, 9)), ((7, 9), (7, 4)), ((7, 9), (7, 9)), ((12, 5), (2, 1)), ((1, 1), (1, 1))],
)
@pytest.mark.parametrize('share', [0, 0.3, 1])
def test_windows_are_counted_exactly(size, crop_size, share):
    mask = np.random.default_rng(0).random(size) < share
    windows = np.lib.stride_tricks.sliding_window_view(mask, crop_size)
    counts = window_counts(mask, crop_size)
    assert counts.dtype == np.int32 and np.array_equal(counts, windows.sum((2, 3)))


def test_windows_of_large_masks_are_counted_exactly():
    counts = window_counts(np.ones((1100, 1200), bool), (1024, 1000))
    assert counts.shape == (77, 201) and (counts == 1024 * 1000).all()


def blocks():
    """(12, 16) of classes 0 and 1 in blocks of 2, with class 2 in a corner, on the edge and inside; some ignored."""
    labels = np.random.default_rng(1).integers(0, 2, (6, 8)).repeat(2, 0).repeat(2, 1).astype(np.uint8)
    labels[-2:, -3:] = labels[5:8, :1] = labels[4:6, 8:10] = 2
    labels[0] = 255
    return labels


def is_varied(part, limit):
    counts = np.unique(part[part != 255], return_counts=True)[1]
    return bool(len(counts) > 1 and counts.max() < limit * counts.sum())


def places(labels, size, accepted):
    """All windows (y, x) whose labels are accepted."""
    windows = np.lib.stride_tricks.sliding_window_view(labels, size)
    return {(y, x) for y, x in np.ndindex(windows.shape[:2]) if accepted(windows[y, x])}


def assert_equally_likely(transform, results, expected):
    drawn = corners(transform, results, 100 * len(expected))
    assert set(drawn) == expected
    # Binomial with mean 100 and a standard deviation of 10.
    assert all(55 < drawn.count(place) < 145 for place in expected)


@pytest.mark.parametrize('min_pixels', [0, 2, 2.5, 3])
def test_all_windows_with_enough_of_the_rare_class_are_equally_likely(min_pixels):
    expected = places(blocks(), (5, 6), lambda part: (part == 2).sum() > min_pixels)
    # Also in the corner of the image, never everywhere.
    assert (7, 10) in expected and 6 <= len(expected) < 88
    results = sample(blocks(), rare_class=2, rare_class_min_pixels=min_pixels)
    assert_equally_likely(RareClassCrop(crop_size=(5, 6)), results, expected)


def test_a_crop_is_varied_and_has_the_rare_class():
    labels, size, limit = blocks(), (5, 6), 0.65
    enough = places(labels, size, lambda part: (part == 2).sum() > 2)
    expected = places(labels, size, lambda part: (part == 2).sum() > 2 and is_varied(part, limit))
    # Of 11 draws one is accepted, but for less than one crop in 100000.
    share = len(expected) / len(enough)
    assert 0.7 < share < 0.8 and (1 - share) ** 11 < 1e-5
    results = sample(labels, rare_class=2, rare_class_min_pixels=2)
    assert_equally_likely(RareClassCrop(crop_size=size, cat_max_ratio=limit), results, expected)


def test_the_rare_class_comes_before_variety():
    labels = np.zeros((10, 60), np.uint8)
    labels[:, 30:] = 1
    labels[4, 0] = 2
    results = sample(labels, rare_class=2, rare_class_min_pixels=0)
    assert set(corners(RareClassCrop(crop_size=10, cat_max_ratio=0.75), results, 20)) == {(0, 0)}


# Class 1 has 50 pixels, class 2 none.
@pytest.mark.parametrize(
    'rare', [dict(rare_class=2, rare_class_min_pixels=0), dict(rare_class=1, rare_class_min_pixels=50)]
)
def test_without_enough_of_the_rare_class_the_crop_is_any_varied_one(rare):
    transform = RareClassCrop(crop_size=10, cat_max_ratio=0.75)
    plain, searched = (corners(transform, sample(half_and_half(), **more), 100) for more in ({}, rare))
    assert plain == searched
