"""Warping and what flips and changes of size do to a flow."""

import pytest
import torch

from udass.flow import consistent, flip_flow, inside, resize_flow, warp, warp_labels

ROW = torch.tensor([[[[10.0, 20.0, 40.0, 80.0]]]])


def along_x(*values):
    """A flow (1, 2, 1, W) with the given dx and no dy."""
    return torch.stack([torch.tensor(values), torch.zeros(len(values))])[None, :, None]


def smooth(size, channels=3, batch=2):
    """Waves that bilinear sampling follows well, (N, K, H, W)."""
    y, x = torch.meshgrid(*(torch.arange(side).float() for side in size), indexing='ij')
    return torch.stack(
        [torch.sin(x / (5 + k) + n) * torch.cos(y / (4 + k)) for n in range(batch) for k in range(channels)]
    ).view(batch, channels, *size)


def some_flow(size, batch=2, largest=6.0, seed=0):
    return (torch.rand(batch, 2, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * largest


@pytest.mark.parametrize(
    ('flow', 'expected'),
    [
        ((1.0, 1.0, 1.0, 1.0), (20, 40, 80, 80)),  # the last one is clamped to the border
        ((-1.0, -1.0, -1.0, -1.0), (10, 10, 20, 40)),
        ((0.5, 0.25, -0.5, 0.0), (15, 25, 30, 80)),
        ((3.0, 100.0, -100.0, -3.0), (80, 80, 10, 10)),
    ],
)
def test_warp_by_hand(flow, expected):
    warped = warp(ROW, along_x(*flow))
    assert torch.allclose(warped, torch.tensor(expected).float().view_as(warped), atol=1e-4)


@pytest.mark.parametrize(
    ('flow', 'expected'),
    [
        ((1.0, 1.0, 1.0, 1.0), (1, 2, 18, 255)),
        ((0.4, 0.4, 0.6, 0.4), (0, 1, 18, 18)),
        ((-0.6, -0.4, 100.0, -3.0), (255, 1, 255, 0)),
    ],
)
def test_labels_are_never_blended(flow, expected):
    labels = torch.tensor([[[0, 1, 2, 18]]])
    warped = warp_labels(labels, along_x(*flow))
    assert warped.dtype == torch.int64
    assert warped.flatten().tolist() == list(expected)


def test_ignored_labels_stay_ignored_and_uint8_stays_uint8():
    labels = torch.tensor([[[255, 254, 0, 7]]], dtype=torch.uint8)
    warped = warp_labels(labels, along_x(0.0, 0.0, 0.0, 1.0), ignore=9)
    assert warped.dtype == torch.uint8
    assert warped.flatten().tolist() == [255, 254, 0, 9]


@pytest.mark.parametrize('size', [(24, 40), (1, 7), (6, 1), (300, 2048)])
def test_no_motion_changes_nothing(size):
    maps, nothing = smooth(size, batch=1), torch.zeros(1, 2, *size)
    labels = torch.randint(0, 256, (1, *size), generator=torch.Generator().manual_seed(1))
    assert (warp(maps, nothing) - maps).abs().max() < 1e-4
    assert torch.equal(warp_labels(labels, nothing), labels)
    assert inside(nothing).all()
    assert consistent(nothing, nothing).all()


def test_whole_pixels_move_exactly_along_both_axes():
    maps = smooth((20, 30))
    flow = torch.zeros(2, 2, 20, 30)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    assert torch.allclose(warp(maps, flow)[:, :, 2:, :-3], maps[:, :, :-2, 3:], atol=1e-5)


def test_mirrored_frames_have_the_mirrored_negated_flow():
    maps, flow = smooth((24, 40)), some_flow((24, 40))
    flipped = flip_flow(flow)
    assert flipped[0, 0, 3, 0] == -flow[0, 0, 3, 39]
    assert flipped[0, 1, 3, 0] == flow[0, 1, 3, 39]
    assert torch.allclose(warp(maps.flip(-1), flipped), warp(maps, flow).flip(-1), atol=1e-5)
    assert torch.equal(flip_flow(flipped), flow)


def test_each_component_scales_with_its_own_side():
    flow = torch.ones(1, 2, 10, 20) * torch.tensor([4.0, 6.0]).view(1, 2, 1, 1)
    assert resize_flow(flow, (5, 60))[0, :, 2, 7].tolist() == pytest.approx([12.0, 3.0])
    assert resize_flow(flow, (5, 60), ratio=(0.5, 2.0))[0, :, 4, 59].tolist() == pytest.approx([2.0, 12.0])
    assert torch.equal(resize_flow(flow, (10, 20)), flow)


def test_maps_get_gradients():
    maps, flow = smooth((6, 8), batch=1).double().requires_grad_(), some_flow((6, 8), batch=1, largest=2.0).double()
    assert torch.autograd.gradcheck(lambda values: warp(values, flow), (maps,))


def test_half_precision_is_sampled_in_full():
    """float16 positions would be off by up to a pixel in a frame this wide."""
    ramp = (torch.arange(2048) / 2048).view(1, 1, 1, -1)
    flow = along_x(*[0.5] * 2048)
    warped = warp(ramp.half(), flow.half())
    assert warped.dtype == torch.float16
    assert (warped.float() - warp(ramp, flow)).abs().max() < 1e-3


def test_hidden_and_leaving_pixels_are_not_consistent():
    """An object of two pixels moves right by 2 over a still background."""
    forward = along_x(0.0, 2.0, 2.0, 0.0, 0.0, 0.0)
    backward = along_x(0.0, 0.0, 0.0, -2.0, -2.0, 0.0)
    # Pixels 3 and 4 of the current frame are hidden in the other one.
    assert consistent(forward, backward).flatten().tolist() == [True, True, True, False, False, True]
    leaving = along_x(-1.0, 0.0, 0.0, 1.0)
    assert inside(leaving).flatten().tolist() == [False, True, True, False]
    assert consistent(leaving, -leaving).flatten().tolist() == [False, True, True, False]


def test_the_allowed_gap_grows_with_the_motion():
    """|f + b| = 1: allowed is sqrt(0.01 (|f|^2 + |b|^2) + 0.5)."""
    still, fast = along_x(*[0.0] * 40), along_x(*[8.0] * 40)
    assert not consistent(still, still + along_x(*[1.0] * 40)).any()
    assert consistent(fast, -fast + along_x(*[1.0] * 40))[..., :32].all()
    assert consistent(still, still + along_x(*[1.0] * 40), absolute=1.1).all()
    assert not consistent(fast, -fast + along_x(*[1.0] * 40), relative=0.0).any()


@pytest.mark.parametrize(
    ('function', 'arguments', 'message'),
    [
        (warp, (ROW, torch.zeros(1, 2, 2, 4)), r'maps .* of shape \(1, 1, 1, 4\) do not fit the flow \(1, 2, 2, 4\)'),
        (warp, (ROW, torch.zeros(1, 1, 4, 2)), r'a flow is a floating point tensor \(N, 2, H, W\), got \(1, 1, 4, 2'),
        (warp_labels, (ROW, along_x(0.0, 0.0, 0.0, 0.0)), r'labels \(N, H, W\) of shape \(1, 1, 1, 4\)'),
        (flip_flow, (torch.zeros(4, 2),), r'got \(1, 4, 2\) torch.float32'),
    ],
)
def test_shapes_that_do_not_fit_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_integer_maps_are_refused():
    with pytest.raises(TypeError, match='needs floating point maps, got torch.uint8; use warp_labels'):
        warp(ROW.byte(), along_x(0.0, 0.0, 0.0, 0.0))
