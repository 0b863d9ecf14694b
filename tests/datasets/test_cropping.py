"""Crops: place, variety, search for the rare class."""

import numpy as np
import pytest

from udass.datasets import isolated_randomness
from udass.datasets.transforms import RareClassCrop
from udass.datasets.transforms.cropping import has_dominant_class, window_counts


def sample(labels, **changes):
    """Results of a pipeline; the pixels of the image are their (y, x)."""
    height, width = labels.shape
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([y, x, y * 0], axis=-1)
    return {**dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map'], img_path='a.png'), **changes}


def crops(transform, results, count):
    """(y, x, labels) of ``count`` random crops of equal results."""
    drawn = []
    for seed in range(count):
        with isolated_randomness(seed):
            cropped = transform(dict(results))
        assert cropped['img_shape'] == cropped['img'].shape[:2] == transform.crop_size
        drawn.append((*cropped['img'][0, 0, :2].tolist(), cropped.get('gt_seg_map')))
    return drawn


def test_image_and_label_are_cropped_alike_and_everywhere():
    labels = (np.arange(6)[:, None] * 10 + np.arange(8)).astype(np.uint8)
    drawn = crops(RareClassCrop(crop_size=(4, 5)), sample(labels), 200)
    assert {(y, x) for y, x, _ in drawn} == {(y, x) for y in range(3) for x in range(4)}
    assert all(part.tolist() == labels[y : y + 4, x : x + 5].tolist() for y, x, part in drawn)


def test_a_crop_as_large_as_the_image_is_the_image():
    labels = np.zeros((4, 5), np.uint8)
    assert crops(RareClassCrop(crop_size=[4, 5]), sample(labels), 1)[0][:2] == (0, 0)


@pytest.mark.parametrize('crop_size', [(7, 8), (6, 9), 7])
def test_image_smaller_than_the_crop(crop_size):
    with pytest.raises(
        ValueError,
        match=r'a\.png is 8x6 pixels \(width x height\) when it reaches the crop of .*: '
        'choose a smaller crop_size, or a larger scale in the Resize',
    ):
        RareClassCrop(crop_size=crop_size)(sample(np.zeros((6, 8), np.uint8)))


def half_and_half():
    """(10, 100): the first 95 columns are class 0, the rest class 1."""
    labels = np.zeros((10, 100), np.uint8)
    labels[:, 95:] = 1
    return labels


def test_no_class_fills_the_crop():
    free = crops(RareClassCrop(crop_size=10), sample(half_and_half()), 200)
    varied = crops(RareClassCrop(crop_size=10, cat_max_ratio=0.75), sample(half_and_half()), 200)
    # 3 of the 91 places have 3, 4 or 5 columns of class 1, and the search looks at 11: 1 - (88/91)^11 = 0.31.
    shares = [np.mean([x > 87 for _, x, _ in drawn]) for drawn in (free, varied)]
    assert shares[0] < 0.1 and 0.2 < shares[1] < 0.42


def test_ignored_pixels_are_no_second_class():
    labels = np.zeros((10, 40), np.uint8)
    labels[:, :20] = 255
    labels[:, 30:] = 1
    drawn = crops(RareClassCrop(crop_size=10, cat_max_ratio=0.75), sample(labels), 200)
    assert np.mean([x > 20 for _, x, _ in drawn]) > 0.8


def test_the_limit_does_not_apply_without_labels():
    results = sample(half_and_half())
    del results['gt_seg_map'], results['seg_fields']
    with_limit = crops(RareClassCrop(crop_size=10, cat_max_ratio=0.1), results, 50)
    without = crops(RareClassCrop(crop_size=10), results, 50)
    assert with_limit == without


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
    height, width = crop_size
    expected = [
        [mask[y : y + height, x : x + width].sum() for x in range(size[1] - width + 1)]
        for y in range(size[0] - height + 1)
    ]
    counts = window_counts(mask, crop_size)
    assert counts.dtype == np.int32 and counts.tolist() == expected


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
    return {
        (y, x)
        for y in range(labels.shape[0] - size[0] + 1)
        for x in range(labels.shape[1] - size[1] + 1)
        if accepted(labels[y : y + size[0], x : x + size[1]])
    }


def frequencies(drawn):
    return {place: sum(place == crop[:2] for crop in drawn) for place in {crop[:2] for crop in drawn}}


@pytest.mark.parametrize('min_pixels', [0, 2, 2.5, 3])
def test_all_windows_with_enough_of_the_rare_class_are_equally_likely(min_pixels):
    labels, size = blocks(), (5, 6)
    expected = places(labels, size, lambda part: (part == 2).sum() > min_pixels)
    # Also in the corner of the image, never everywhere.
    assert (7, 10) in expected and 6 <= len(expected) < 88
    results = sample(labels, rare_class=2, rare_class_min_pixels=min_pixels)
    found = frequencies(crops(RareClassCrop(crop_size=size), results, 100 * len(expected)))
    assert set(found) == expected
    # Binomial with mean 100 and a standard deviation of 10.
    assert all(55 < count < 145 for count in found.values())


def test_a_crop_is_varied_and_shows_the_rare_class():
    labels, size, limit = blocks(), (5, 6), 0.65
    enough = places(labels, size, lambda part: (part == 2).sum() > 2)
    expected = places(labels, size, lambda part: (part == 2).sum() > 2 and is_varied(part, limit))
    # Of 11 draws one is accepted, but for less than one crop in 100000.
    share = len(expected) / len(enough)
    assert 0.7 < share < 0.8 and (1 - share) ** 11 < 1e-5
    results = sample(labels, rare_class=2, rare_class_min_pixels=2)
    found = frequencies(crops(RareClassCrop(crop_size=size, cat_max_ratio=limit), results, 100 * len(expected)))
    assert set(found) == expected
    assert all(55 < count < 145 for count in found.values())


def test_where_no_crop_with_the_rare_class_is_varied_the_class_is_kept():
    labels = np.zeros((10, 60), np.uint8)
    labels[:, 30:] = 1
    labels[4, 0] = 2
    drawn = crops(
        RareClassCrop(crop_size=10, cat_max_ratio=0.75), sample(labels, rare_class=2, rare_class_min_pixels=0), 20
    )
    assert {crop[:2] for crop in drawn} == {(0, 0)}


def test_a_search_for_variety_ends_after_ten_redraws(monkeypatch):
    transform = RareClassCrop(crop_size=10, cat_max_ratio=0.75)
    drawn = []
    draw = transform._draw
    monkeypatch.setattr(transform, '_draw', lambda *args: drawn.append(draw(*args)) or drawn[-1])
    transform(sample(np.zeros((10, 100), np.uint8)))
    assert len(drawn) == 11


@pytest.mark.parametrize(
    'wish', [dict(rare_class=2, rare_class_min_pixels=0), dict(rare_class=1, rare_class_min_pixels=50)]
)
def test_without_enough_of_the_rare_class_the_crop_is_any_varied_one(wish):
    # Class 1 has 50 pixels, class 2 none.
    transform = RareClassCrop(crop_size=10, cat_max_ratio=0.75)
    plain, searched = (crops(transform, sample(half_and_half(), **more), 100) for more in ({}, wish))
    assert [crop[:2] for crop in plain] == [crop[:2] for crop in searched]


def test_a_rare_class_changes_no_crop_without_labels():
    results = sample(half_and_half(), rare_class=1, rare_class_min_pixels=10)
    del results['gt_seg_map'], results['seg_fields']
    assert len({crop[1] for crop in crops(RareClassCrop(crop_size=10), results, 100)}) > 50
