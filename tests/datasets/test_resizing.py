"""The resize for images of mixed sizes."""

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from udass.datasets.transforms import ClipResize, ResizeToCover


def loaded(width, height, **more):
    image = np.arange(width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return dict(img=image, gt_seg_map=image[..., 0].copy(), seg_fields=['gt_seg_map'], **more)


@pytest.mark.parametrize(
    'size, expected',
    [
        ((384, 192), (256, 128)),  # of the same proportions
        ((300, 400), (256, 341)),  # a portrait: 256 / 300 of both sides
        ((400, 100), (512, 128)),  # a panorama: 128 / 100
        ((10, 10), (256, 256)),  # too small
        ((257, 129), (256, 128)),  # 129 * 256 / 257 = 128.498
        ((1, 1000), (256, 256000)),
    ],
)
def test_the_smallest_size_that_covers(size, expected):
    results = ResizeToCover(scale=(256, 128))(loaded(*size))
    assert results['img'].shape[1::-1] == results['gt_seg_map'].shape[::-1] == expected
    assert results['img_shape'] == expected[::-1]
    assert results['scale_factor'] == pytest.approx((expected[0] / size[0], expected[1] / size[1]))


def test_nothing_changes_where_the_proportions_are_those_of_the_scale():
    mine, theirs = (
        transform(loaded(384, 192)) for transform in (ResizeToCover(scale=(256, 128)), ClipResize(scale=(256, 128)))
    )
    assert np.array_equal(mine['img'], theirs['img']) and np.array_equal(mine['gt_seg_map'], theirs['gt_seg_map'])


def test_every_size_covers():
    transform = ResizeToCover(scale=(31, 17))
    for width in range(1, 90, 4):
        for height in range(1, 90, 3):
            resized = transform(loaded(width, height))['img'].shape
            assert resized[0] >= 17 and resized[1] >= 31 and (resized[0] == 17 or resized[1] == 31)


def test_clips_and_their_flow():
    clip = loaded(20, 40, other_frames=[loaded(20, 40)['img']], flows={(0, 1): np.ones((40, 20, 2), np.float32)})
    results = ResizeToCover(scale=(40, 40))(clip)
    assert results['other_frames'][0].shape == (80, 40, 3)
    assert results['flows'][0, 1].shape == (80, 40, 2) and (results['flows'][0, 1] == 2).all()


def test_at_random_scales():
    transform = TRANSFORMS.build(
        dict(type='RandomResize', resize_type='ResizeToCover', scale=(32, 16), ratio_range=(1.0, 2.0))
    )
    sizes = {transform(loaded(30, 40))['img'].shape[:2] for _ in range(20)}
    assert len(sizes) > 3 and all(32 <= width <= 64 and abs(height - width * 4 / 3) < 1 for height, width in sizes)
