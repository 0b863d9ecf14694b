"""Differences between methods, against values computed by hand."""

from dataclasses import replace

import numpy as np
import pytest

from udass.evaluation.counts import ImageCounts
from udass.evaluation.paired import Difference, compare, compare_all, worst_tenth


def counts(*right, classes='ab', folder='x'):
    """Images of 10 pixels of each of two classes, of which so many of the first are right and all of the second."""
    confusion = np.array([[[number, 10 - number], [0, 10]] for number in right])
    return ImageCounts([f'{folder}/{number}.png' for number in range(len(right))], list(classes), confusion)


def test_the_difference_of_one_seed_and_its_variance_over_images():
    # Of both images: class a 50 %, class b 20 of 30. Of the better method: 15 of 20, and 20 of 25.
    found = compare([counts(10, 0)], [counts(10, 5)], resamples=20000)
    assert found.iou['a'].value == pytest.approx(75 - 50) and found.iou['b'].value == pytest.approx(80 - 200 / 3)
    assert found.miou.value == pytest.approx((25 + 80 - 200 / 3) / 2)
    # The second image is drawn 0, 1 or 2 times with probability 1/4, 1/2, 1/4: 0, 25 or 50 points for class a.
    half = 12.706 * (0.25 * 25**2 + 0.25 * 25**2) ** 0.5
    assert found.iou['a'].high - found.iou['a'].value == pytest.approx(half, rel=0.02)
    assert found.iou['a'].verdict == 'undecided' and found.seeds == 1


def test_seeds_vary_by_students_distribution():
    # The images of a seed are all alike, so that only seeds vary: by 10, 20 and 30 points for class a.
    first = [counts(5, 5, 5)] * 3
    second = [counts(*3 * [number]) for number in (6, 7, 8)]
    found = compare(first, second).iou['a']
    assert found.value == pytest.approx(20)
    assert found.high - found.value == pytest.approx(4.302653 * 10 / 3**0.5, rel=1e-6)
    assert found.verdict == 'undecided'
    assert compare(second, [counts(*3 * [number]) for number in (9, 10, 10)]).iou['a'].verdict == 'better'


def test_a_method_is_better_only_where_the_interval_excludes_zero():
    assert [Difference(1, low, high).verdict for low, high in ((0.1, 2), (0, 2), (-3, -1))] == [
        'better',
        'undecided',
        'worse',
    ]
    same = compare([counts(3, 9)], [counts(3, 9)])
    assert same.miou == Difference(0, 0, 0) and same.miou.verdict == 'undecided'
    assert same.to_dict()['mIoU'] == {'difference': 0, 'interval': [0, 0], 'verdict': 'undecided'}


def test_the_worst_tenth_are_each_methods_own_images():
    first, second = counts(*range(20)[::-1][10:], *[10] * 10), counts(*[10] * 10, *range(1, 11))
    # Two images of twenty: 0 and 1 of 10 pixels right (IoU of a 0 and 10 %, of b 10/20 and 10/19), and 1 and 2.
    lowest = [(right * 10 + 100 * 10 / (20 - right)) / 2 for right in (0, 1, 2)]
    assert worst_tenth(first) == pytest.approx(sum(lowest[:2]) / 2)
    assert compare([first], [second]).worst.value == pytest.approx((lowest[2] - lowest[0]) / 2)
    unlabelled = ImageCounts(['y.png'], ['a', 'b'], np.zeros((1, 2, 2), int))
    both = ImageCounts([*first.images, 'y.png'], ['a', 'b'], np.concatenate([first.confusion, unlabelled.confusion]))
    assert worst_tenth(both) == worst_tenth(first) and np.isnan(worst_tenth(unlabelled))


def test_a_class_that_the_truth_lacks_has_no_difference():
    one = ImageCounts(['x.png'], ['a', 'b'], np.array([[[8, 2], [0, 0]]]))
    found = compare([one], [one])
    assert list(found.iou) == ['a'] and found.miou.value == 0


def test_pairs_have_seeds_and_images_in_common():
    tests = {'plain': {0: counts(5, 5), 1: counts(4, 4)}, 'other': {1: counts(6, 6, folder='y'), 2: counts(7, 7)}}
    found = compare_all({**tests, 'apart': {3: counts(5, 5)}, 'elsewhere': {1: counts(5, 5, 5)}})
    assert list(found) == [('other', 'plain')]
    assert found['other', 'plain'].seeds == 1 and found['other', 'plain'].iou['a'].value == pytest.approx(20)
    with pytest.raises(ValueError, match='tests of 1 and 2 seeds cannot be paired'):
        compare([counts(5)], [counts(5), counts(5)])
    with pytest.raises(ValueError, match='same images and classes'):
        compare([counts(5)], [counts(5, classes='ac')])


def test_counts_are_kept_exactly_and_in_little_room(tmp_path):
    confusion = np.zeros((233, 11, 11), np.int64)
    confusion[..., np.arange(11), np.arange(11)] = np.random.default_rng(0).integers(0, 100_000, (233, 11))
    path = tmp_path / 'new' / 'test.counts.npz'
    ImageCounts([f'data/{number}.png' for number in range(233)], list('abcdefghijk'), confusion).write(path)
    read = ImageCounts.read(path)
    assert np.array_equal(read.confusion, confusion) and read.images[232] == 'data/232.png'
    assert path.stat().st_size < 20_000


def test_several_test_sets_count_once_each(tmp_path):
    """One image by day, of which class a gains 20 points, and three at night, of which it gains 40."""
    names = ['day', 'night', 'night', 'night']
    first, second = (replace(counts(*right), datasets=names) for right in ((5, 5, 5, 5), (7, 9, 9, 9)))
    found = compare([first], [second])
    assert found.iou['a'].value == pytest.approx((20 + 40) / 2)
    # Class b: 10 of 15 at first; 10 of 13 and 10 of 11 then.
    assert found.iou['b'].value == pytest.approx(100 * ((10 / 13 + 10 / 11) / 2 - 10 / 15))
    assert found.miou.value == pytest.approx((found.iou['a'].value + found.iou['b'].value) / 2)
    # All images of a test set are alike, and as many are drawn of each as it has.
    assert found.iou['a'].high == pytest.approx(found.iou['a'].value)
    assert worst_tenth(second) == pytest.approx(50 * (0.7 + 10 / 13 + 0.9 + 10 / 11) / 2)
    second.write(tmp_path / 'a.npz')
    assert ImageCounts.read(tmp_path / 'a.npz').datasets == names
    with pytest.raises(ValueError, match='cannot be paired'):
        compare([first], [replace(second, datasets=names[::-1])])
