"""The networks of two frames against the reference's numbers, from converted reference weights."""

import pytest
import torch
from torch import Tensor

from tests.reference.golden import Golden, assert_close
from tests.reference.networks import golden_directory, reference_network

TRANSFORMER, CNN = 'video_daformer_mitb0', 'video_accel_deeplabv2_r50'


class Case:
    """One golden file: the network in eval mode, its two frames and the flow, and the expected numbers."""

    def __init__(self, name: str) -> None:
        golden = Golden(golden_directory())
        if not (golden.directory / f'{name}.npz').is_file():
            pytest.skip(f'no {name}.npz in {golden.directory}')
        self.expected = golden.load(name)
        self.network = reference_network(name, golden, self.expected).eval()
        self.flow = torch.from_numpy(self.expected['flow'])
        shape = (1, 3, *self.flow.shape[2:])
        self.clip = torch.stack([golden.image('video/cur', shape), golden.image('video/prev', shape)], dim=1)

    def ratio(self, logits: Tensor) -> tuple[float, float]:
        """With which the reference scales a flow to the size of logits: that of the heights, for both components."""
        return (logits.shape[2] / self.flow.shape[2],) * 2

    def flow_for(self, logits: Tensor) -> Tensor:
        """The flow whose scaling with a ratio of its own for each component gives what the reference gets."""
        widths = logits.shape[3] / self.flow.shape[3]
        return self.flow * torch.tensor([self.ratio(logits)[0] / widths, 1.0]).view(1, 2, 1, 1)


@pytest.fixture(scope='module')
def transformer():
    return Case(TRANSFORMER)


@pytest.fixture(scope='module')
def cnn():
    return Case(CNN)


@torch.no_grad()
def test_transformer(transformer):
    network, expected = transformer.network, transformer.expected
    current, previous = network(transformer.clip[:, 0]), network(transformer.clip[:, 1])
    assert_close(current, expected['logits_current_only'])
    fused = network.fusion(current, previous, transformer.flow, ratio=transformer.ratio(current))
    assert_close(fused, expected['logits'])
    assert_close(network(transformer.clip, flow=transformer.flow_for(current)[:, None]), expected['logits'])
    assert_close(network(transformer.clip), expected['logits_current_only'])


@torch.no_grad()
def test_transformer_with_pasted_pixels(transformer):
    pasted = torch.from_numpy(transformer.expected['pasted_mask'])[:, None] > 0
    logits = transformer.network(transformer.clip, flow=transformer.flow[:, None], no_flow=pasted)
    assert_close(logits[:, :, ::4, ::4], transformer.expected['logits_pasted_quarter'])


@torch.no_grad()
def test_cnn(cnn):
    network, expected = cnn.network, cnn.expected
    heads = {'': network.decode_head, '_aux': network.auxiliary_head}
    frames = {name: network.extract_feat(cnn.clip[:, index]) for index, name in enumerate(('current', 'previous'))}
    logits = {f'{name}{suffix}': head(features) for name, features in frames.items() for suffix, head in heads.items()}
    for name, value in logits.items():
        assert_close(value, expected[name])
    ratio = cnn.ratio(logits['current'])
    for name, suffix in (('main', ''), ('aux', '_aux')):
        fused = network.fusion(logits[f'current{suffix}'], logits[f'previous{suffix}'], cnn.flow, ratio=ratio)
        assert_close(fused, expected[name])
    assert_close(network(cnn.clip, flow=cnn.flow_for(logits['current'])[:, None]), expected['main'])
    assert_close(network(cnn.clip), expected['current'])
