"""The segmentor of two frames: what the previous frame does to the logits, and what it must not do.

Networks are float64: what two ways of computing give is equal but for 1e-9, and rounding decides nothing.
"""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from tests.models.small import CLASSES, accel, plain, samples, video
from udass.models.segmentors import LogitFusion
from udass.models.segmentors.logit_fusion import resize_logits

SIZE = (64, 96)


def mixing(network):
    """A fusion that takes as much of the previous frame as of the current one."""
    nn.init.dirac_(network.fusion.weight)
    network.fusion.weight.data[:, CLASSES:] = network.fusion.weight.data[:, :CLASSES]
    network.fusion.weight.data /= 2
    return network


@pytest.fixture(scope='module')
def network():
    return mixing(video()).double().eval()


@pytest.fixture
def clip():
    return torch.randn(3, 2, 3, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def flow():
    return 8 * torch.randn(3, 1, 2, *SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def labelled(clip):
    labels = torch.randint(CLASSES, (len(clip), *clip.shape[-2:]), generator=torch.Generator().manual_seed(3))
    return samples(labels)


@torch.no_grad()
def test_fusion_starts_as_the_current_frame(clip, flow):
    network = video().double().eval()
    network.init_weights()
    assert torch.equal(network(clip, flow=flow), network(clip))
    assert network.fusion.weight.shape == (CLASSES, 2 * CLASSES, 1, 1) and network.fusion.bias is None


@torch.no_grad()
def test_no_motion_joins_the_two_frames_where_they_are(network, clip, flow):
    fused = network(clip, flow=torch.zeros_like(flow))
    torch.testing.assert_close(fused, (network(clip[:, 0]) + network(clip[:, 1])) / 2, atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_the_previous_frame_is_seen_where_the_flow_points():
    """Four pixels right and eight down are one cell and two at a quarter of the size."""
    fusion = LogitFusion(1).double()
    fusion.weight.copy_(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1))
    previous = torch.randn(1, 1, 6, 8, dtype=torch.float64)
    flow = torch.tensor([4.0, 8.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 24, 32)
    warped = fusion(torch.zeros_like(previous), previous, flow)
    torch.testing.assert_close(warped[..., :4, :7], previous[..., 2:, 1:], atol=1e-9, rtol=1e-9)
    stretched = fusion(torch.zeros_like(previous), previous, flow, ratio=(0.5, 0.25))
    torch.testing.assert_close(stretched[..., :4, :6], previous[..., 2:, 2:], atol=1e-9, rtol=1e-9)


def test_no_gradient_goes_through_the_previous_frame(clip, flow):
    network = mixing(video()).double().eval()
    clip.requires_grad_()
    network(clip, flow=flow).square().sum().backward()
    assert clip.grad[:, 0].abs().sum() > 0 and clip.grad[:, 1].abs().sum() == 0
    # The fusion itself learns from both.
    assert network.fusion.weight.grad[:, CLASSES:].abs().sum() > 0


@torch.no_grad()
def test_layers_meet_the_current_frame_first(network, clip, flow):
    """What mixes decoder features relies on the order."""
    fused, seen = network.decode_head.fuse_layer, []
    with fused.register_forward_pre_hook(lambda module, args: seen.append(args[0])):
        network(clip, flow=flow)
    head = network.decode_head
    expected = [head.join(head.embed(network.extract_feat(clip[:, frame]))) for frame in (0, 1)]
    assert [torch.equal(*pair) for pair in zip(seen, expected, strict=True)] == [True, True]


@torch.no_grad()
def test_images_and_clips_without_flow_are_single_frames(network, clip):
    alone = plain().double().eval()
    alone.load_state_dict({key: value for key, value in network.state_dict().items() if key != 'fusion.weight'})
    expected = alone(clip[:, 0])
    for inputs in (clip, clip[:, :1], clip[:, 0]):
        assert torch.equal(network(inputs), expected)
        assert network.encode_decode(inputs, []).shape == (3, CLASSES, *SIZE)


@torch.no_grad()
def test_pixels_without_flow_use_the_current_logits_instead(network, clip, flow):
    everywhere = torch.ones(3, 1, *SIZE, dtype=torch.bool)
    current = network.encode_decode(clip[:, 0], [])
    assert torch.allclose(network(clip, flow=flow, no_flow=everywhere), current, rtol=1e-9, atol=1e-9)
    left = everywhere.clone()
    left[..., SIZE[1] // 2 :] = False
    half = network(clip, flow=flow, no_flow=left)
    nowhere = network(clip, flow=flow, no_flow=torch.zeros_like(left))
    assert torch.equal(half[..., SIZE[1] // 2 :], nowhere[..., SIZE[1] // 2 :])
    assert torch.allclose(half[..., : SIZE[1] // 2], current[..., : SIZE[1] // 2], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(nowhere, current, atol=1e-2)


@pytest.mark.parametrize('make', [video, pytest.param(accel, marks=pytest.mark.slow)])
@torch.no_grad()
def test_a_batch_of_three_is_three_batches_of_one(make, clip, flow):
    network = mixing(make()).double().eval()
    clip, flow = clip[..., :32, :48], flow[..., :32, :48]
    no_flow = flow[:, 0, :1] > 0
    for options in (dict(flow=flow), dict(flow=flow, no_flow=no_flow)):
        together = network(clip, **options)
        single = [{name: value[n : n + 1] for name, value in options.items()} for n in range(3)]
        apart = torch.cat([network(clip[n : n + 1], **single[n]) for n in range(3)])
        torch.testing.assert_close(together, apart, atol=1e-9, rtol=1e-9)


def test_losses_features_and_logits_of_one_forward(clip, flow):
    network = mixing(accel()).double().train()
    clip, flow = clip[:2, ..., :32, :48], flow[:2, ..., :32, :48]
    losses, features, logits, extra_logits = network(clip, labelled(clip), mode='outputs', flow=flow)
    assert losses.keys() == {'decode.loss_ce', 'aux.loss_ce'}
    shapes = [(256, 9, 13), (512, 5, 7), (1024, 5, 7), (2048, 5, 7)]
    assert [tuple(feature.shape[1:]) for feature in features] == shapes
    assert logits.shape == (2, CLASSES, 5, 7) and extra_logits is None
    sum(losses.values()).backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in network.named_parameters() if '.bn' in name or '.downsample.1.' in name}
    assert network(clip, labelled(clip), mode='loss', flow=flow, auxiliary=False).keys() == {'decode.loss_ce'}


def test_the_loss_is_that_of_the_fused_logits_at_label_size(network, clip, flow):
    data = labelled(clip)
    losses = network(clip, data, mode='loss', flow=flow)
    labels = torch.cat([sample.gt_sem_seg.data for sample in data])
    expected = nn.functional.cross_entropy(resize_logits(network(clip, flow=flow), SIZE), labels)
    torch.testing.assert_close(losses['decode.loss_ce'], expected)


@torch.no_grad()
def test_predictions_have_the_original_size(network, clip, flow):
    data = [SegDataSample(metainfo=dict(img_shape=SIZE, ori_shape=(32, 48))) for _ in clip]
    predicted = network(clip, data, mode='predict', flow=flow)
    assert predicted[0].seg_logits.data.shape == (CLASSES, 32, 48)
    raw = network(clip, mode='predict', flow=flow)
    logits = network.encode_decode(clip, [], flow)
    for n, sample in enumerate(raw):
        assert isinstance(sample.pred_sem_seg, PixelData)
        assert torch.equal(sample.pred_sem_seg.data[0], logits[n].argmax(dim=0))


@torch.no_grad()
def test_motion_crosses_windows(clip):
    """Frames are joined after their windows: each pixel sees what lies a whole window further left."""
    slide = dict(mode='slide', crop_size=(64, 48), stride=(64, 48), max_batch=2)
    network = mixing(video(test_cfg=slide)).double().eval()
    flow = torch.zeros(3, 1, 2, *SIZE, dtype=torch.float64)
    flow[:, 0, 0, :, 48:] = -48
    fused = network.inference(clip, [], flow)
    current, previous = (network.inference(clip[:, frame], []) for frame in (0, 1))
    torch.testing.assert_close(fused[..., 48:], (current[..., 48:] + previous[..., :48]) / 2, atol=1e-9, rtol=1e-9)


def test_what_does_not_fit_is_named(network, clip, flow):
    with pytest.raises(ValueError, match='have 1 frame'):
        network(clip[:, 0], flow=flow)
    with pytest.raises(ValueError, match='have 1 frame'):
        network(clip[:, :1], flow=flow)
    with pytest.raises(ValueError, match=r'need the flow .*\(3, 1, 2, 64, 96\); got \(3, 2, 64, 96\)'):
        network(clip, flow=flow[:, 0])
    with pytest.raises(ValueError, match=r'no_flow is a bool mask .* got \(3, 1, 64, 96\) torch.float32'):
        network(clip, flow=flow, no_flow=torch.ones(3, 1, *SIZE))
    with pytest.raises(ValueError, match='50, 101 and 152; got 18'):
        MODELS.build(dict(type='CaffeResNet', depth=18))


@pytest.mark.parametrize('weighted', [True, False])
def test_valid_cross_entropy_by_hand(weighted):
    """Two of three pixels are labelled; even logits of four classes cost log 4 each."""
    loss = MODELS.build(dict(type='ValidCrossEntropy', loss_weight=0.1))
    labels = torch.tensor([[[0, 255, 3]]])
    weight = torch.tensor([[[0.5, 1.0, 1.0]]]) if weighted else None
    value = loss(torch.zeros(1, 4, 1, 3), labels, weight=weight)
    assert value.item() == pytest.approx(0.1 * 1.3862944 * (1.5 if weighted else 2) / 2)
    assert loss(torch.zeros(1, 4, 1, 3), torch.full_like(labels, 255)).item() == 0
