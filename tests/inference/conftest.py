"""Small networks of shipped configs with random weights, as checkpoints of a training."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from udass.streets.writer import write_streets

CONFIGS = Path(__file__).parents[2] / 'configs'


def save_checkpoint(config, path, seed=0):
    """A checkpoint as `UDARunner` writes it: weights of all networks, and the config in its meta."""
    init_default_scope('mmseg')
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    networks = {name: network for name, network in model.named_children() if name in ('student', 'teacher')}
    for network in networks.values():
        network.init_weights()
        # Far enough from each other that the classes differ from pixel to pixel; a fusion starts as frame t alone.
        fusion = [network.fusion.weight] if hasattr(network, 'fusion') else []
        for parameter in [*network.decode_head.parameters(), *fusion]:
            torch.nn.init.normal_(parameter, std=0.3)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text, seed=0)), path)
    return path


@pytest.fixture(scope='session')
def streets(tmp_path_factory):
    """Three images and a clip of four frames of the camera."""
    root = tmp_path_factory.mktemp('streets')
    write_streets(
        root, size=(96, 192), workers=1, counts=dict(camera=dict(val=3)), clip_counts=dict(camera=dict(val=1))
    )
    return root


def _run(folder, name, streets):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    config.test_dataloader.dataset.data_root = str(streets)
    config.dump(folder / 'config.py')
    return folder / 'config.py', save_checkpoint(config, folder / 'iter_1.pth')


@pytest.fixture(scope='session')
def image_run(tmp_path_factory, streets):
    """Config and checkpoint of QuadMix on images."""
    return _run(tmp_path_factory.mktemp('image'), 'streets_quadmix', streets)


@pytest.fixture(scope='session')
def video_run(tmp_path_factory, streets):
    """Config and checkpoint of a network of two frames."""
    return _run(tmp_path_factory.mktemp('video'), 'streets_video_source_only', streets)
