"""Names of weights of VFM-UDA++'s published networks (``network.encoder.``, ``network.upscale.``), and of ours."""

import re
from collections.abc import Mapping

from torch import Tensor

_PARTS = (
    (r'(encoder\..+)\.dwconv\.dwconv\.(.+)', r'\1.dwconv.\2'),
    (r'upscale\.(up|reduce|smooth)_conv(\d)\.(.+)', r'decode_head.\1_convs.#\2.\3'),
    (r'upscale\.norm(\d)\.(.+)', r'decode_head.norms.#\1.\2'),
    (r'out\.weight', 'decode_head.conv_seg.weight'),
)


def vfm_to_segmentor(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network of VFM-UDA++ (keys without ``network.``) as ``backbone.`` (`ViTAdapter`) and ``decode_head.``.

    Keys without a known place keep their name.
    """
    return {vfm_key(key): value for key, value in weights.items()}


def vfm_key(key: str) -> str:
    """Our name of one published weight."""
    for pattern, name in _PARTS:
        if match := re.fullmatch(pattern, key):
            key = match.expand(name)
            break
    # The published layers are counted from 1, ours from 0.
    key = re.sub(r'#(\d)', lambda match: str(int(match[1]) - 1), key)
    key = re.sub(r'^encoder\.(blocks|cls_token|pos_embed|patch_embed|mask_token|norm)\b(?!\d)', r'backbone.net.\1', key)
    return re.sub(r'^encoder\.', 'backbone.', key)
