"""The networks of the golden files, built from this project's configs and filled with converted reference weights."""

import json
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

import udass.models  # noqa: F401  registers the networks
from tests.reference.golden import Golden
from udass.models.checkpoints import convert, load_strictly

ROOT = Path(__file__).resolve().parents[2]
MODEL_CONFIGS = ROOT / 'configs' / '_base_' / 'models'
_BASE = {
    'daformer_mitb0': 'daformer_mitb5',
    'segformer_mitb0': 'segformer_mitb0',
    'hrda_daformer_mitb0': 'hrda_daformer_mitb5',
    'deeplabv2_r50': 'deeplabv2_r101',
    'deeplabv2red_r50': 'deeplabv2_r101',
    'hrda_deeplabv2red_r50': 'hrda_deeplabv2_r101',
    'video_daformer_mitb0': 'video_daformer_mitb5',
    'video_accel_deeplabv2_r50': 'video_accel_deeplabv2_r101',
}
# Of images; the video ones have other inputs.
NETWORKS = tuple(name for name in _BASE if not name.startswith('video_'))


def golden_directory() -> Path:
    """The directory of the golden files: that of the repository, or the one that ``UDASS_GOLDEN`` names.

    Raises:
        FileNotFoundError: it holds no golden files.
    """
    directory = ROOT / os.environ.get('UDASS_GOLDEN', 'tests/reference/golden')
    if not (directory / 'meta.json').is_file():
        raise FileNotFoundError(
            f'{directory} has no meta.json, so it is no directory of golden files; correct '
            'UDASS_GOLDEN, or unset it to use those of the repository'
        )
    return directory


def reference_weights(golden: Golden, expected: dict, prefix: str = '') -> dict[str, Tensor]:
    """The reference's state dict, regenerated from its keys and shapes."""
    return {
        str(key): torch.from_numpy(golden.formula.weight(prefix + str(key), json.loads(str(shape))))
        for key, shape in zip(expected['keys'], expected['shapes'], strict=True)
    }


def segmentor_config(name: str) -> dict:
    """The ``segmentor`` of a base config, without start weights and without anything random in training."""
    segmentor = Config.fromfile(MODEL_CONFIGS / f'{name}.py').segmentor
    if segmentor.backbone.type in ('DINOv2', 'TimmViT', 'ViTAdapter'):
        segmentor.backbone.pretrained = False
    else:
        segmentor.backbone.init_cfg = None
    if 'drop_path_rate' in segmentor.backbone:
        segmentor.backbone.drop_path_rate = 0.0
    for head in heads(segmentor):
        if 'dropout_ratio' in head:
            head.dropout_ratio = 0.0
    return segmentor


def heads(segmentor: dict) -> list[dict]:
    """Configs of the decoders: one, or HRDA's head and scale attention."""
    decode_head = segmentor.decode_head
    return [decode_head.head, decode_head.scale_attention] if decode_head.type == 'HRDAHead' else [decode_head]


def build(segmentor: dict) -> nn.Module:
    init_default_scope('mmseg')
    return MODELS.build(segmentor)


def reference_segmentor(name: str, golden: Golden, expected: dict) -> dict:
    """Config of our network of a golden file."""
    segmentor = segmentor_config(_BASE[name])
    if segmentor.backbone.type == 'MiT':
        segmentor.backbone.variant = 'b0'
        for head in heads(segmentor):
            head.in_channels = [32, 64, 160, 256]
    else:
        segmentor.backbone.depth = 50
    if name == 'segformer_mitb0':
        # The reference's model file has 768 channels whatever the backbone.
        segmentor.decode_head.channels = len(reference_weights(golden, expected)['decode_head.linear_pred.weight'][0])
    if name == 'deeplabv2_r50':
        segmentor.decode_head.dilations = (6, 12, 18, 24)
    if 'crop_box' in expected:
        y1, y2, x1, x2 = expected['crop_box'].tolist()
        segmentor.crop_size = (y2 - y1, x2 - x1)
    return segmentor


def reference_network(name: str, golden: Golden, expected: dict, **changes: object) -> nn.Module:
    """Our network of a golden file, holding the reference's weights; ``changes`` go into the segmentor's config."""
    segmentor = reference_segmentor(name, golden, expected)
    segmentor.update(changes)
    network = build(segmentor)
    load_strictly(network, convert(reference_weights(golden, expected)).weights, name)
    return network
