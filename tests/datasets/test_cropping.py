"""Crops: place, variety, search for the rare class."""
import numpy as np
import pytest

from udass.datasets import isolated_randomness
from udass.datasets.transforms import RareClassCrop


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
    assert all(part.tolist() == labels[y:y + 4, x:x + 5].tolist() for y, x, part in drawn)


def test_a_crop_as_large_as_the_image_is_the_image():
    labels = np.zeros((4, 5), np.uint8)
    assert crops(RareClassCrop(crop_size=[4, 5]), sample(labels), 1)[0][:2] == (0, 0)


@pytest.mark.parametrize('crop_size', [(7, 8), (6, 9), 7])
def test_image_smaller_than_the_crop(crop_size):
    with pytest.raises(ValueError, match=r'a\.png is 8x6 pixels \(width x height\) when it reaches the crop of .*: '
                                         'choose a smaller crop_size, or a larger scale in the Resize'):
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


def test_the_rare_class_is_searched_for():
    wish = dict(rare_class=1, rare_class_min_pixels=29)
    plain, searched = (crops(RareClassCrop(crop_size=10), sample(half_and_half(), **more), 300) for more in ({}, wish))
    found = [np.mean([(labels == 1).sum() > 29 for *_, labels in drawn]) for drawn in (plain, searched)]
    assert found[0] < 0.08  # 3 of 91 places
    assert 0.22 < found[1] < 0.42  # the first crop and up to 10 more: 0.31


def test_the_search_ends_after_ten_redraws(monkeypatch):
    transform = RareClassCrop(crop_size=10)
    drawn = []
    draw = transform._draw
    monkeypatch.setattr(transform, '_draw', lambda *size: drawn.append(draw(*size)) or drawn[-1])
    transform(sample(half_and_half(), rare_class=2, rare_class_min_pixels=0))
    assert len(drawn) == 11


def test_a_first_crop_with_enough_pixels_is_kept():
    labels = np.ones((10, 30), np.uint8)
    wish = dict(rare_class=1, rare_class_min_pixels=99)
    plain, searched = (crops(RareClassCrop(crop_size=10), sample(labels, **more), 20) for more in ({}, wish))
    assert [crop[:2] for crop in plain] == [crop[:2] for crop in searched]
