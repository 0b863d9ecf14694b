"""The pure functions of the video step against what the reference implementation computes."""

import pytest
import torch

from tests.reference.golden import Golden, assert_close
from udass.flow import resize_flow, warp


@pytest.fixture
def expected(golden_dir):
    return Golden(golden_dir).load('video_functions')


def test_warp(expected):
    warped = warp(torch.from_numpy(expected['warp/image']), torch.from_numpy(expected['warp/flow']))
    assert_close(warped, expected['warp/warped'])


def test_flow_resize(expected):
    half, flow = expected['flow_resize/half'], torch.from_numpy(expected['warp/flow'])
    size = tuple(half.shape[-2:])
    by_height = size[0] / flow.shape[2]
    assert_close(resize_flow(flow, size, ratio=(by_height, by_height)), half)
    if flow.shape[3] * size[0] == flow.shape[2] * size[1]:
        # The aspect stays: each component's own ratio is the same one.
        assert_close(resize_flow(flow, size), half)
