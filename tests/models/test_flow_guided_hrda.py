"""HRDA on two frames: HRDA where there is no motion, the joined logits where there is."""

import pytest
import torch
from torch import nn

from tests.models.small import CLASSES, daformer_head, hrda, samples
from udass.flow.warping import warp
from udass.models.checkpoints import add_fusion
from udass.models.segmentors import FlowGuidedEncoderDecoder, HRDAEncoderDecoder

SIZE = (96, 128)
BOX = (32, 96, 64, 128)


def mixing(**changes):
    """A fusion that takes a quarter of the previous frame."""
    network = hrda(type='FlowGuidedHRDAEncoderDecoder', **changes)
    weight = torch.eye(CLASSES)
    with torch.no_grad():
        network.fusion.weight.copy_(torch.cat([0.75 * weight, 0.25 * weight], dim=1)[..., None, None])
    return network


@pytest.fixture(scope='module')
def network():
    return mixing().eval()


@pytest.fixture(scope='module')
def alone(network):
    """The same network on one frame."""
    one = hrda().eval()
    one.load_state_dict({key: value for key, value in network.state_dict().items() if key != 'fusion.weight'})
    return one


@pytest.fixture
def clip():
    return torch.randn(2, 2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def flow():
    return 8 * torch.randn(2, 1, 2, *SIZE, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def labelled():
    return samples(torch.randint(CLASSES, (2, *SIZE), generator=torch.Generator().manual_seed(3)))


@torch.no_grad()
def test_it_starts_as_hrda(clip, flow):
    network = hrda(type='FlowGuidedHRDAEncoderDecoder').eval()
    network.init_weights()
    assert isinstance(network, FlowGuidedEncoderDecoder) and isinstance(network, HRDAEncoderDecoder)
    assert torch.equal(network(clip, flow=flow), network(clip))
    assert network.fusion.weight.shape == (CLASSES, 2 * CLASSES, 1, 1) and network.fusion.bias is None


@torch.no_grad()
def test_images_and_clips_without_flow_are_single_frames(network, alone, clip, labelled):
    expected = alone(clip[:, 0])
    for inputs in (clip, clip[:, 0]):
        assert torch.equal(network(inputs), expected)
        losses = network(inputs, labelled, mode='loss', crop_box=BOX)
        torch.testing.assert_close(losses, alone(clip[:, 0], labelled, mode='loss', crop_box=BOX))


@torch.no_grad()
def test_inference_joins_the_logits_along_the_flow(network, alone, clip, flow):
    current, previous = (alone.encode_decode(clip[:, frame], []) for frame in (0, 1))
    expected = 0.75 * current + 0.25 * warp(previous, flow[:, 0])
    torch.testing.assert_close(network.encode_decode(clip, [], flow), expected)
    no_flow = flow[:, 0, :1] > 0
    torch.testing.assert_close(network.encode_decode(clip, [], flow, no_flow), torch.where(no_flow, current, expected))
    assert torch.equal(network.clip_logits(clip, flow)[0]['decode'], network.encode_decode(clip, [], flow))


def test_training_joins_the_fused_logits_and_leaves_the_detail_to_frame_t(network, alone, clip, flow, labelled):
    """The loss is 0.9 of that of the joined logits, made with one detail box in both frames."""
    current, previous = (alone.outputs(clip[:, frame], labelled, crop_box=BOX) for frame in (0, 1))
    joined = 0.75 * current.logits + 0.25 * warp(previous.logits, flow[:, 0])
    outputs = network(clip, labelled, mode='outputs', flow=flow, crop_box=BOX)
    torch.testing.assert_close(outputs.logits, joined)
    labels = torch.cat([sample.gt_sem_seg.data for sample in labelled])
    torch.testing.assert_close(
        outputs.losses,
        {
            'decode.loss_ce': 0.9 * nn.functional.cross_entropy(joined, labels),
            'decode.hr.loss_ce': current.losses['decode.hr.loss_ce'],
        },
    )
    for own, other in zip(outputs.features, current.features, strict=True):
        torch.testing.assert_close(own, other)


def test_the_box_is_drawn_once_for_both_frames(network, clip, flow, labelled):
    drawn = network.draw_crop_box(SIZE, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    torch.testing.assert_close(
        network(clip, labelled, mode='loss', flow=flow, generator=generator),
        network(clip, labelled, mode='loss', flow=flow, crop_box=drawn),
    )


def test_no_gradient_goes_through_the_previous_frame(clip, flow, labelled):
    network = mixing().eval()
    clip.requires_grad_()
    sum(network(clip, labelled, mode='loss', flow=flow, crop_box=BOX).values()).backward()
    assert clip.grad[:, 0].abs().sum() > 0 and clip.grad[:, 1].abs().sum() == 0
    assert network.fusion.weight.grad[:, CLASSES:].abs().sum() > 0


@torch.no_grad()
def test_windows_are_joined_after_they_are_put_together(clip):
    network = mixing(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32))).eval()
    flow = torch.zeros(2, 1, 2, *SIZE)
    flow[:, 0, 0, :, 64:] = -64
    current, previous = (network.inference(clip[:, frame], []) for frame in (0, 1))
    fused = network.inference(clip, [], flow)
    torch.testing.assert_close(
        fused[..., 64:], 0.75 * current[..., 64:] + 0.25 * previous[..., :64], atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_a_single_attention_and_other_sizes(clip):
    """The options of HRDA are those of this network, too."""
    head = dict(type='HRDAHead', head=daformer_head(), fixed_attention=0.5)
    network = mixing(decode_head=head, overlapping_slide=False).eval()
    assert network(clip[..., :59, :61], flow=torch.zeros(2, 1, 2, 59, 61)).shape == (2, CLASSES, 59, 61)


def test_weights_of_hrda_become_those_of_two_frames(network, alone):
    torch.testing.assert_close(add_fusion(alone.state_dict(), 0.25), dict(network.state_dict()))


def test_what_does_not_fit_is_named(network, clip, flow, labelled):
    with pytest.raises(ValueError, match='have 1 frame'):
        network(clip[:, :1], flow=flow)
    with pytest.raises(ValueError, match=r'\(48, 128\) pixels have labels of \(96, 128\)'):
        network(clip[..., :48, :], labelled, mode='loss', flow=flow[..., :48, :])
