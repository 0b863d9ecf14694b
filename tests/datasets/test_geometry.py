"""The resize and the padding for images of mixed sizes."""

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from udass.datasets.transforms import ClipResize, PackUDAInputs, PadToCover, PseudoMargins, ResizeToCover


def loaded(width, height, **more):
    image = np.arange(width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return dict(img=image, gt_seg_map=image[..., 0].copy(), seg_fields=['gt_seg_map'], **more)


# Of the same proportions; a portrait, 256 / 300 of both sides; a panorama; too small; 129 * 256 / 257 = 128.498.
SIZES = [((384, 192), (256, 128)), ((300, 400), (256, 341)), ((400, 100), (512, 128)), ((10, 10), (256, 256))]
SIZES += [((257, 129), (256, 128)), ((1, 1000), (256, 256000))]


@pytest.mark.parametrize('size, expected', SIZES)
def test_the_smallest_size_that_covers(size, expected):
    results = ResizeToCover(scale=(256, 128))(loaded(*size))
    assert results['img'].shape[1::-1] == results['gt_seg_map'].shape[::-1] == expected
    assert results['img_shape'] == expected[::-1]
    assert results['scale_factor'] == pytest.approx((expected[0] / size[0], expected[1] / size[1]))


def test_images_of_the_proportions_of_the_scale_are_resized_as_by_mmseg():
    mine, theirs = (kind(scale=(256, 128))(loaded(384, 192)) for kind in (ResizeToCover, ClipResize))
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
    config = dict(type='RandomResize', resize_type='ResizeToCover', scale=(32, 16), ratio_range=(1.0, 2.0))
    transform = TRANSFORMS.build(config)
    sizes = {transform(loaded(30, 40))['img'].shape[:2] for _ in range(20)}
    assert len(sizes) > 3 and all(32 <= width <= 64 and abs(height - width * 4 / 3) < 1 for height, width in sizes)


def test_images_are_padded_on_the_right_and_below_without_labels():
    results = PadToCover(scale=(7, 5))(loaded(6, 3))
    original = loaded(6, 3)
    assert results['img'].shape == (5, 7, 3) and results['img_shape'] == (5, 7)
    assert np.array_equal(results['img'][:3, :6], original['img']) and not results['img'][3:].any()
    assert np.array_equal(results['gt_seg_map'][:3, :6], original['gt_seg_map'])
    assert (results['gt_seg_map'][3:] == 255).all() and (results['gt_seg_map'][:, 6:] == 255).all()
    assert 'valid_pseudo_mask' not in results
    large = PadToCover(scale=(4, 3))(loaded(6, 3))
    assert np.array_equal(large['img'], original['img']) and large['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize('shares', [None, dict(top=0.25, bottom=0.25, left=0, right=0)])
def test_what_is_padded_gets_no_pseudo_label(shares):
    results = dict(img=np.full((4, 6, 3), 9, np.uint8))
    if shares is not None:
        results = PseudoMargins(shares=shares)(results)
    sample = PackUDAInputs()(PadToCover(scale=(8, 5))(results))
    mask = sample['data_samples'].valid_pseudo_mask.data[0].int().tolist()
    row, margin, padding = [1] * 6 + [0] * 2, [0] * 8, [0] * 8
    assert mask == ([row] * 4 if shares is None else [margin, row, row, margin]) + [padding]
    # Also where nothing is padded: the samples of a batch have the same fields.
    assert PadToCover(scale=(6, 4))(dict(img=np.zeros((4, 6, 3), np.uint8)))['valid_pseudo_mask'].all()
