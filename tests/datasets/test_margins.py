"""Margins of the target in which pseudo-labels are not trusted."""

import numpy as np
import pytest

from tests.datasets.published import picture, write_cityscapes, write_png
from udass.datasets import Cityscapes, isolated_randomness
from udass.datasets.transforms import PseudoMargins

MARGINS = dict(size=(2048, 1024), top=30, bottom=240, left=30, right=30)


def mask_of(width, height, margins=MARGINS, **arguments):
    results = dict(img=picture(width, height), pseudo_margins=margins, img_path='a.png')
    return PseudoMargins(**arguments)(results).get('valid_pseudo_mask')


def box(mask):
    """(top, bottom, left, right) margins; everything between is trusted."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return rows[0], len(mask) - 1 - rows[-1], columns[0], mask.shape[1] - 1 - columns[-1]


def test_margins_scale_with_the_image():
    assert box(mask_of(2048, 1024)) == (30, 240, 30, 30)
    assert box(mask_of(1024, 512)) == (15, 120, 15, 15)
    # As in DAFormer.
    assert box(mask_of(1024, 512, sides=['top', 'bottom'])) == (15, 120, 0, 0)


def test_a_data_set_without_margins_has_no_mask():
    assert mask_of(64, 32, margins=None) is None


def test_the_mask_follows_the_image_through_resize_crop_and_flip(tmp_path):
    # The image is bright where it is trusted, so that image and mask must stay alike.
    write_cityscapes(tmp_path, size=(2048, 1024), labelled=False)
    image = np.repeat(mask_of(2048, 1024)[..., None] * 255, 3, axis=-1)
    write_png(tmp_path / 'leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png', image)
    steps = [
        dict(type='LoadImage'),
        dict(type='PseudoMargins'),
        dict(type='Resize', scale=(512, 256), interpolation='nearest'),
        dict(type='RareClassCrop', crop_size=(128, 128)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackUDAInputs'),
    ]
    dataset = Cityscapes(data_root=str(tmp_path), split='train', labelled=False, pipeline=steps)
    shares, flips = [], set()
    for seed in range(12):
        with isolated_randomness(seed):
            sample = dataset[0]
        mask = sample['data_samples'].valid_pseudo_mask.data
        assert mask.shape == (1, 128, 128) and mask.dtype.is_floating_point is False
        assert ((sample['inputs'][0] > 127) == mask[0]).all()
        shares.append(mask.float().mean().item())
        flips.add(sample['data_samples'].flip)
    # A crop from the middle keeps all pixels.
    assert len({round(share, 3) for share in shares}) > 3 and max(shares) == 1 and flips == {False, True}


def test_after_the_crop_is_too_late():
    with pytest.raises(ValueError, match=r'a\.png is 512x512 pixels .*no scaled copy of 2048x1024.*before the crop'):
        mask_of(512, 512)


@pytest.mark.parametrize('sides', ['top', ['up']])
def test_sides_that_do_not_exist(sides):
    with pytest.raises(ValueError, match=r"sides must be a list of some of \['top', 'bottom', 'left', 'right'\], got"):
        PseudoMargins(sides=sides)


def test_impossible_margins():
    with pytest.raises(ValueError, match=r'must be dict\(size=\(width, height\), top='):
        mask_of(64, 32, dict(top=3))
    with pytest.raises(ValueError, match=r'leave no pixel of 64x32'):
        mask_of(64, 32, dict(MARGINS, bottom=1000))


def test_shares_are_margins_of_images_of_any_size():
    """Whatever the data set states."""
    shares = dict(top=0.03, bottom=0.25, left=0.03, right=0.03)
    for width, height in ((100, 100), (300, 100), (100, 200)):
        results = dict(img=np.zeros((height, width, 3), np.uint8), pseudo_margins=MARGINS)
        mask = PseudoMargins(shares=shares)(results)['valid_pseudo_mask']
        top, side = round(0.03 * height), round(0.03 * width)
        assert mask[top : height - height // 4, side : width - side].all()
        assert mask.sum() == (height - top - height // 4) * (width - 2 * side)
    with pytest.raises(ValueError, match='shares of PseudoMargins the same without size'):
        PseudoMargins(shares=dict(top=0.03))(dict(img=np.zeros((9, 9, 3), np.uint8)))
