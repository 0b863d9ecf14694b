"""Names of weights of the published video networks, and of ours, both directions.

The transformer keeps backbone, decoder and fusion under ``model.``, ``decoder.`` and ``decoder.sf_layer.``; the CNN
has no prefixes: stages ``layer1`` to ``layer4``, auxiliary decoder ``layer5``, main decoder ``layer7``, ``sf_layer``.
Inside the backbones (ResNet: mmseg's names; MiT: see `key_maps`) nothing is renamed here.
"""

import re

from torch import Tensor

# Patterns of published names and what they become; the first that fits counts.
_TRANSFORMER = (
    (r'decoder\.sf_layer\.weight', 'fusion.weight'),
    (r'decoder\.(.+)', r'decode_head.\1'),
    (r'model\.(.+)', r'backbone.\1'),
)
_CNN = (
    (r'sf_layer\.weight', 'fusion.weight'),
    (r'layer5\.conv2d_list\.(\d)\.(weight|bias)', r'auxiliary_head.aspp_modules.\1.conv.\2'),
    (r'layer7\.conv2d_list\.(\d)\.(weight|bias)', r'decode_head.aspp_modules.\1.conv.\2'),
    # head.0 is the dropout.
    (r'layer7\.head\.1\.weight', 'decode_head.conv_seg.weight'),
    (r'((conv1|bn1|layer[1-4])\..+)', r'backbone.\1'),
)
_TRANSFORMER_BACK = (
    (r'fusion\.weight', 'decoder.sf_layer.weight'),
    (r'decode_head\.(.+)', r'decoder.\1'),
    (r'backbone\.(.+)', r'model.\1'),
)
_CNN_BACK = (
    (r'fusion\.weight', 'sf_layer.weight'),
    (r'auxiliary_head\.aspp_modules\.(\d)\.conv\.(weight|bias)', r'layer5.conv2d_list.\1.\2'),
    (r'decode_head\.aspp_modules\.(\d)\.conv\.(weight|bias)', r'layer7.conv2d_list.\1.\2'),
    (r'decode_head\.conv_seg\.weight', 'layer7.head.1.weight'),
    (r'backbone\.(.+)', r'\1'),
)
LAYOUTS = {'video transformer': _TRANSFORMER, 'video CNN': _CNN}


def video_to_segmentor(weights: dict[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Published weights as ``backbone.``, ``decode_head.``, ``auxiliary_head.`` and ``fusion.`` of one segmentor.

    Args:
        layout: ``video transformer`` or ``video CNN``. Keys without a known place keep their name.
    """
    return {_rename(key, LAYOUTS[layout]): value for key, value in weights.items()}


def segmentor_to_video(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse: a segmentor with a ``fusion.`` (its MiT already under the reference's names) as published."""
    convolutional = 'decode_head.aspp_modules.0.conv.weight' in weights
    return {_rename(key, _CNN_BACK if convolutional else _TRANSFORMER_BACK): value for key, value in weights.items()}


def _rename(key: str, patterns: tuple[tuple[str, str], ...]) -> str:
    for pattern, name in patterns:
        if match := re.fullmatch(pattern, key):
            return match.expand(name)
    return key
