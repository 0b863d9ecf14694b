"""Whole published checkpoints, as key lists: every key is mapped or named as dropped, every key of ours is filled."""

import json

import pytest
import torch

from tests.reference.networks import build, golden_directory, segmentor_config
from udass.models.checkpoints import convert, load_strictly, to_reference

CHECKPOINTS = {
    'uda_daformer_mitb5': ('daformer_mitb5', 'daformer'),
    'uda_mic_hrda_daformer_mitb5': ('hrda_daformer_mitb5', 'mic'),
}
VIDEO_CHECKPOINTS = {
    'video_daformer_mitb5_viper': 'video_daformer_mitb5',
    'video_deeplabv2_r101_viper': 'video_accel_deeplabv2_r101',
}
PREFIXES = {'student': 'model.', 'teacher': 'ema_model.'}


def published(name):
    """The checkpoint's tensors, without their content."""
    path = golden_directory() / f'{name}.keys.json'
    if not path.is_file():
        pytest.skip(f'no {path}')
    return {key: torch.empty(shape, device='meta') for key, shape in json.loads(path.read_text()).items()}


def shapes(weights):
    return {key: tuple(value.shape) for key, value in weights.items()}


@pytest.fixture(scope='module', params=CHECKPOINTS)
def checkpoint(request):
    config, source = CHECKPOINTS[request.param]
    return published(request.param), build(segmentor_config(config)).state_dict(), source


@pytest.mark.parametrize('branch', PREFIXES)
def test_published_training_checkpoint(checkpoint, branch):
    weights, own, source = checkpoint
    conversion = convert(weights, source=source, branch=branch)
    assert shapes(conversion.weights) == shapes(own)
    prefix = PREFIXES[branch]
    back = {prefix + key: value for key, value in to_reference(conversion.weights).items()}
    assert {**shapes(back), **shapes({key: weights[key] for key in conversion.dropped})} == shapes(weights)
    assert back.keys().isdisjoint(conversion.dropped)
    other = 'teacher' if branch == 'student' else 'student'
    reasons = {key.split('.')[0]: reason for key, reason in conversion.dropped.items()}
    assert reasons.keys() == {PREFIXES[other][:-1], 'imnet_model'}
    assert f'--branch {other}' in reasons[PREFIXES[other][:-1]]


@pytest.mark.parametrize('name, config', VIDEO_CHECKPOINTS.items())
def test_published_video_checkpoint(name, config):
    weights = published(name)
    network = build(segmentor_config(config))
    conversion = convert(weights, source='udass-video')
    assert shapes(conversion.weights) == shapes(network.state_dict())
    assert conversion.dropped == {}
    assert shapes(to_reference(conversion.weights)) == shapes(weights)
    filled = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in conversion.weights.items()}
    load_strictly(network, filled, name)
    assert not any(value.any() for value in network.state_dict().values())


def test_published_video_transformer_gives_its_single_frame_network():
    segmentor = segmentor_config('daformer_mitb5')
    segmentor.decode_head.num_classes = 15
    conversion = convert(published('video_daformer_mitb5_viper'), source='udass-video-frame')
    assert shapes(conversion.weights) == shapes(build(segmentor).state_dict())
    assert list(conversion.dropped) == ['decoder.sf_layer.weight']


def test_published_video_cnn_gives_its_single_frame_network():
    conversion = convert(published('video_deeplabv2_r101_viper'), source='udass-video-frame')
    segmentor = segmentor_config('video_accel_deeplabv2_r101')
    segmentor.type = 'SlidingEncoderDecoder'
    assert shapes(conversion.weights) == shapes(build(segmentor).state_dict())
    assert list(conversion.dropped) == ['sf_layer.weight']
