"""The memory of a training, which is computed without running it."""

import json

import pytest
from mmengine.registry import init_default_scope

from tests.cli.calls import call
from tests.uda.small import CLASSES, FLOW_GUIDED, SEGMENTOR, VIT
from udass.benchmark import command
from udass.benchmark.memory import training_memory

# Of `VIT`: images of 64 x 64 in 16 patches and a class token, 6 blocks of width 64.
TOKENS, BLOCKS, WIDTH = 17, 6, 64


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def test_states_are_weights_gradients_moments_and_a_teacher():
    found = training_memory(VIT, 2, (64, 64))
    assert found['trained'] == found['parameters'] and found['states'] == 5 * 4 * found['parameters']
    frozen = training_memory(dict(VIT, backbone=dict(VIT['backbone'], frozen=True)), 2, (64, 64))
    assert frozen['parameters'] == found['parameters'] > 5 * frozen['trained']
    assert frozen['states'] == 4 * (frozen['parameters'] + 4 * frozen['trained'])


def test_recomputed_blocks_keep_their_inputs_alone():
    found, more = (training_memory(VIT, batch, (64, 64)) for batch in (2, 4))
    # What the decoder keeps is the same in both; here the inputs of the blocks are a small part of the rest.
    inputs = 2 * BLOCKS * TOKENS * WIDTH * 4
    frozen = training_memory(dict(VIT, backbone=dict(VIT['backbone'], frozen=True, mask_token=False)), 2, (64, 64))
    blocks = found['float32'] - frozen['float32']
    recomputed = found['float32_with_cp'] - frozen['float32']
    assert inputs <= recomputed < 4 * inputs < blocks / 2
    # Of two more images; the weights in bf16, which are kept as well, are the same.
    growth = {name: more[name] - found[name] for name in ('float32', 'bf16', 'float32_with_cp', 'bf16_with_cp')}
    assert growth['float32'] == pytest.approx(found['float32'], rel=0.05)
    assert growth['bf16'] < 0.8 * growth['float32'] and growth['bf16_with_cp'] < growth['float32_with_cp']


def test_backbones_of_mmseg_recompute_too():
    found = training_memory(SEGMENTOR, 2, (64, 64))
    assert found['float32_with_cp'] < 0.9 * found['float32']


def test_two_frames_keep_the_logits_that_are_fused():
    """The frame before is segmented without gradient. The fusion keeps the logits of both, a quarter as high and wide,
    and the first convolution the tensor that has both frames."""
    images, clips = (training_memory(segmentor, 2, (64, 96)) for segmentor in (SEGMENTOR, FLOW_GUIDED))
    fused = 2 * 2 * len(CLASSES) * (64 // 4) * (96 // 4) * 4
    for name in ('float32', 'float32_with_cp'):
        assert clips[name] - images[name] == fused + 2 * 3 * 64 * 96 * 4
    assert clips['parameters'] - images['parameters'] == 2 * len(CLASSES) ** 2


def test_the_command_takes_networks_and_experiments(tmp_path, capsys):
    configs = ['configs/_base_/models/segformer_mitb0.py', 'streets_quadmix_mitb0']
    result = call(command, 'memory', *configs, '--size', '64', '--json', tmp_path / 'memory.json')
    assert json.loads((tmp_path / 'memory.json').read_text()) == result
    assert [row['config'] for row in result['rows']] == ['segformer_mitb0', 'streets_quadmix_mitb0']
    assert 'bf16, with_cp' in capsys.readouterr().out
