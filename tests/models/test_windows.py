"""Sliding windows: where they lie, and that batching them changes nothing but memory."""

import pytest
import torch
from mmengine.config import ConfigDict

from tests.models.small import CLASSES, build, daformer_head, plain
from udass.models.windows import Box, average_windows, pad_to_multiple, uses_batch_statistics, window_boxes


@pytest.mark.parametrize(
    'size, boxes',
    [
        ((64, 64), [(0, 64, 0, 64)]),
        ((64, 100), [(0, 64, 0, 64), (0, 64, 32, 96), (0, 64, 36, 100)]),
        ((65, 64), [(0, 64, 0, 64), (1, 65, 0, 64)]),
        # Smaller than the crop in one direction, in both.
        ((40, 70), [(0, 40, 0, 64), (0, 40, 6, 70)]),
        ((40, 40), [(0, 40, 0, 40)]),
    ],
)
def test_places_of_windows(size, boxes):
    assert window_boxes(size, (64, 64), (32, 32)) == [Box(*box) for box in boxes]


def test_every_pixel_is_covered_and_no_window_leaves_the_image():
    for size in ((64, 64), (97, 131), (200, 65), (31, 300)):
        count = torch.zeros(size)
        for box in window_boxes(size, (64, 96), (48, 80)):
            assert box.y1 >= 0 and box.x1 >= 0 and box.y2 <= size[0] and box.x2 <= size[1]
            box.cut(count).add_(1)
        assert count.min() >= 1


def test_average_of_windows_by_hand():
    """Windows of width 2 at 0 and 1 over three pixels: each says its own number everywhere."""
    images = torch.zeros(1, 3, 2, 3)
    numbers = iter([1.0, 5.0])

    def predict(windows):
        return torch.cat([torch.full((1, 1, 2, 2), next(numbers)) for _ in windows])

    boxes = window_boxes((2, 3), (2, 2), (1, 1))
    assert average_windows(images, boxes, predict).tolist() == [[[[1, 3, 5], [1, 3, 5]]]]


@pytest.mark.parametrize('max_batch', [1, 2, 5, 100, None])
def test_no_more_windows_at_once_than_allowed(max_batch):
    images, seen = torch.randn(3, 3, 16, 16, dtype=torch.float64), []

    def predict(windows):
        seen.append(len(windows))
        return torch.nn.functional.avg_pool2d(windows, 4)

    boxes = window_boxes((16, 16), (8, 8), (4, 4))
    average = average_windows(images, boxes, predict, stride=4, max_batch=max_batch)
    torch.testing.assert_close(average, torch.nn.functional.avg_pool2d(images, 4))
    assert sum(seen) == 27 and max(seen) == min(max_batch or 27, 27)


def test_bad_settings_are_explained():
    images, boxes = torch.zeros(1, 3, 8, 8), [Box(0, 8, 0, 8)]
    with pytest.raises(ValueError, match='max_batch is a number of windows, at least 1.*got 0'):
        average_windows(images, boxes, lambda windows: windows, max_batch=0)
    with pytest.raises(ValueError, match=r'\(8, 8\) pixels gave logits of \(8, 8\) cells; .* should be \(2, 2\)'):
        average_windows(images, boxes, lambda windows: windows, stride=4)


def test_padding_is_at_the_right_and_bottom():
    padded = pad_to_multiple(torch.ones(1, 3, 9, 16), 8)
    assert padded.shape == (1, 3, 16, 16)
    assert padded[..., :9, :].eq(1).all() and padded[..., 9:, :].eq(0).all()


@torch.no_grad()
@pytest.mark.parametrize('size', [(73, 99), (50, 100)])
def test_batched_windows_equal_one_at_a_time(size):
    """And mmseg's own loop over windows, which takes one after the other."""
    slide = dict(mode='slide', crop_size=(64, 80), stride=(40, 64))
    network = plain().double().eval()
    images, meta = torch.randn(2, 3, *size, dtype=torch.float64), dict(ori_shape=size, img_shape=size)
    results = []
    for max_batch in (1, 3, None):
        network.test_cfg = {**slide, 'max_batch': max_batch}
        results.append(network.slide_inference(images, [meta] * 2))
    backbone = dict(type='MiT', variant='b0')
    mmseg = build(dict(type='EncoderDecoder', backbone=backbone, decode_head=daformer_head(), test_cfg=slide))
    mmseg.double().eval()
    mmseg.load_state_dict(network.state_dict())
    mmseg.test_cfg = ConfigDict(slide)
    results.append(mmseg.slide_inference(images, [dict(meta), dict(meta)]))
    assert results[0].shape == (2, CLASSES, *size)
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_windows_stay_together_while_batch_norm_looks_at_the_batch():
    network = plain(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32), max_batch=1)).eval()
    assert network.max_batch == 1 and not uses_batch_statistics(network)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    assert network.max_batch is None and uses_batch_statistics(network)


def test_slide_without_a_crop_is_explained():
    network = plain(test_cfg=dict(mode='slide', crop_size=(64, 64))).eval()
    with pytest.raises(ValueError, match='needs crop_size=.* and stride='):
        network.slide_inference(torch.zeros(1, 3, 64, 64), [{}])
