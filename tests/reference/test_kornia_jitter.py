"""Colour operations against those of kornia 0.5.8, which the published code of DACS, DAFormer, HRDA and MIC pins."""

import pytest
import torch

from tests.reference.golden import Golden, assert_close
from udass.uda import PhotometricChange
from udass.uda.photometric import PhotometricDraw, kornia_color

NAMES = ('brightness', 'contrast', 'saturation', 'hue')


@pytest.fixture
def expected(golden_dir):
    return Golden(golden_dir).load('kornia_jitter')


def orders(expected):
    """Key of the stored result -> the operations in their order; the digits in the key are indices of NAMES."""
    return {key: [NAMES[int(digit)] for digit in key.rsplit('_', 1)[1]] for key in expected if 'out/order_' in key}


@pytest.mark.parametrize('name', NAMES)
def test_single_operations(expected, name):
    images = torch.from_numpy(expected['in'])
    changed = [
        kornia_color(image, name, float(factor))
        for image, factor in zip(images, expected[f'factor/{name}'], strict=True)
    ]
    assert_close(torch.stack(changed), expected[f'out/{name}'])


def test_one_after_the_other_on_grey_levels(expected):
    images = torch.from_numpy(expected['in'])
    assert orders(expected)
    for key, names in orders(expected).items():
        changes = [
            PhotometricDraw([(name, float(expected[f'factor/{name}'][i])) for name in names], sigma=None)
            for i in range(len(images))
        ]
        changed = PhotometricChange(operations='kornia').apply(255 * images[:, None], changes)
        assert_close(changed[:, 0] / 255, expected[key])
