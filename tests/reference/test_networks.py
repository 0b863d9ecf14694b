"""Every network against the reference's numbers: features, logits, losses, gradients, from converted weights."""

import platform

import pytest
import torch
from mmengine.config import ConfigDict

from tests.reference.golden import Golden, assert_close
from tests.reference.network_case import Case, gradient_norms_in_reference_arithmetic
from tests.reference.networks import NETWORKS, golden_directory

HRDA = [name for name in NETWORKS if name.startswith('hrda')]
RESNETS = [name for name in NETWORKS if name.endswith('r50')]
TRANSFORMERS = [name for name in NETWORKS if name.endswith('mitb0')]
# Crop and stride with which the reference slid its windows (golden/README.md).
SLIDES = {'daformer_mitb0': ((64, 96), (48, 48)), 'hrda_daformer_mitb0': ((128, 128), (64, 64))}


@pytest.fixture(scope='module', params=NETWORKS)
def case(request):
    return Case(request.param)


@torch.no_grad()
def test_features(case):
    for level, feature in enumerate(case.evaluated().extract_feat(case.images)):
        assert_close(feature[:, ::8, ::4, ::4], case.expected[f'feat{level}'])


@torch.no_grad()
def test_logits(case):
    logits = case.evaluated().encode_decode(case.images, [])
    assert_close(logits[:, :, ::4, ::4], case.expected['logits'])


@pytest.mark.parametrize('case', SLIDES, indirect=True)
@pytest.mark.parametrize('max_batch', [None, 2])
@torch.no_grad()
def test_sliding_windows(case, max_batch, monkeypatch):
    crop, stride = SLIDES[case.name]
    options = dict(mode='slide', crop_size=crop, stride=stride, max_batch=max_batch)
    monkeypatch.setattr(case.network, 'test_cfg', ConfigDict(options))
    probabilities = case.evaluated().inference(case.images[:1], [dict(ori_shape=case.size)]).softmax(dim=1)
    assert_close(probabilities[:, :, ::4, ::4], case.expected['slide_logits'])


@pytest.mark.parametrize('weighted', [True, False])
def test_losses(case, weighted):
    prefix = 'loss_weighted' if weighted else 'loss'
    losses = {name.replace('loss_ce', 'loss_seg'): value.item() for name, value in case.losses(weighted).items()}
    stored = {
        key.removeprefix(f'{prefix}/'): float(value)
        for key, value in case.expected.items()
        if key.startswith(f'{prefix}/') and key.endswith('loss_seg')
    }
    assert losses == pytest.approx(stored, rel=1e-4)


def assert_gradient_norms(norms, expected):
    stored = dict(zip(expected['grad_norm_names'].tolist(), expected['grad_norms'].tolist(), strict=True))
    assert norms == pytest.approx(stored, rel=5e-3, abs=1e-6)


@pytest.mark.parametrize('case', TRANSFORMERS, indirect=True)
def test_gradient_norms(case):
    assert_gradient_norms(case.gradient_norms(), case.expected)


@pytest.fixture(scope='module')
def resnet_norms():
    return gradient_norms_in_reference_arithmetic(RESNETS)


@pytest.mark.slow
@pytest.mark.parametrize('name', RESNETS)
@pytest.mark.skipif(
    platform.machine() not in ('x86_64', 'AMD64'),
    reason='float32 gradients of ResNets need the kernels of the machine that made the goldens',
)
def test_gradient_norms_of_resnets(name, resnet_norms):
    assert_gradient_norms(resnet_norms[name], Golden(golden_directory()).load(name))


@pytest.mark.parametrize('case', HRDA, indirect=True)
def test_features_of_a_training_step_are_those_of_the_context(case):
    case.network.train()
    features = case.network(
        case.images, case.samples(True), mode='outputs', crop_box=case.expected['crop_box']
    ).features
    for feature, own in zip(features, case.network.extract_feat(case.images), strict=True):
        torch.testing.assert_close(feature, own)
        assert feature.requires_grad
