"""Names and layouts of weights in published networks and in this project, in both directions.

The reference MiT (SegFormer and every code base built on it) keeps queries apart from keys and values and has linear
layers where mmseg has 1x1 convolutions; mmseg counts stages from 0 and keeps one input projection. The published video
transformer keeps backbone, decoder and fusion under ``model.``, ``decoder.`` and ``decoder.sf_layer.``; the video CNN
has stages ``layer1`` to ``layer4``, auxiliary decoder ``layer5``, main decoder ``layer7`` and fusion ``sf_layer``.

Shapes: E channels of a stage; ``q`` is (E, E), ``kv`` (2E, E), mmseg's ``in_proj`` (3E, E), queries first.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

# Prefixes of keys, published and ours; the first that fits counts.
_MIT = [
    pair
    for i in range(4)
    for pair in (
        (f'patch_embed{i + 1}.proj.', f'layers.{i}.0.projection.'),
        (f'patch_embed{i + 1}.norm.', f'layers.{i}.0.norm.'),
        (f'norm{i + 1}.', f'layers.{i}.2.'),
        (f'block{i + 1}.', f'layers.{i}.1.'),
    )
]
_VIDEO_CNN = [
    ('sf_layer.', 'fusion.'),
    *((f'layer5.conv2d_list.{i}.', f'auxiliary_head.aspp_modules.{i}.conv.') for i in range(4)),
    *((f'layer7.conv2d_list.{i}.', f'decode_head.aspp_modules.{i}.conv.') for i in range(4)),
    # head.0 is the dropout.
    ('layer7.head.1.', 'decode_head.conv_seg.'),
    *((f'{stage}.', f'backbone.{stage}.') for stage in ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')),
]
_VIDEO_TRANSFORMER = [('decoder.sf_layer.', 'fusion.'), ('decoder.', 'decode_head.'), ('model.', 'backbone.')]
# Networks of VFM-UDA and VFM-UDA++; their layers are counted from 1.
_VFM = (
    *(
        (f'upscale.{part}_conv{i}.', f'decode_head.{part}_convs.{i - 1}.')
        for part in ('up', 'reduce', 'smooth')
        for i in range(1, 5)
    ),
    *((f'upscale.norm{i}.', f'decode_head.norms.{i - 1}.') for i in range(1, 4)),
    ('upscale.', 'decode_head.upscale.'),
    ('out.', 'decode_head.conv_seg.'),
    *((f'encoder.{part}', f'backbone.net.{part}') for part in ('blocks.', 'cls_', 'pos_', 'patch_embed.', 'norm.')),
    ('encoder.', 'backbone.'),
)
VIDEO_LAYOUTS = {'video transformer': _VIDEO_TRANSFORMER, 'video CNN': _VIDEO_CNN}

# Parts of a transformer block whose names differ.
_BLOCK_PARTS = (
    ('.attn.proj.', '.attn.attn.out_proj.'),
    ('.mlp.fc1.', '.ffn.layers.0.'),
    ('.mlp.dwconv.dwconv.', '.ffn.layers.1.'),
    ('.mlp.fc2.', '.ffn.layers.4.'),
)
_LINEAR = re.compile(r'.*\.ffn\.layers\.[04]\.weight')
NATIVE_MIT = re.compile(
    r'layers\.[0-3]\.((0\.(projection|norm)|2|1\.\d+\.(norm[12]|attn\.(sr|norm|attn\.out_proj)|ffn\.layers\.[014]))\.'
    r'|1\.\d+\.attn\.attn\.in_proj_)(weight|bias)'
)


def mit_to_native(reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a MiT under mmseg's names; ValueError if a key is none of a MiT's, or a query projection lacks its
    key-value projection or the reverse."""
    native, unknown = {}, []
    for key, value in reference.items():
        name = _rename(key, _MIT)
        projections = [(f'.attn.{part}.', '.attn.attn.in_proj_') for part in ('q', 'kv')]
        for published, own in (*_BLOCK_PARTS, *projections):
            name = name.replace(published, own)
        if not NATIVE_MIT.fullmatch(name):
            unknown.append(key)
        elif '.attn.kv.' in key:
            _partner(reference, key, key.replace('.attn.kv.', '.attn.q.'))
        elif '.attn.q.' in key:
            native[name] = torch.cat([value, _partner(reference, key, key.replace('.attn.q.', '.attn.kv.'))])
        else:
            native[name] = value[..., None, None] if _LINEAR.fullmatch(name) else value
    if unknown:
        raise ValueError(f'{len(unknown)} keys are not part of the reference MiT: {", ".join(unknown)}')
    return native


def mit_to_reference(native: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `mit_to_native`, with views of the same tensors."""
    reference = {}
    for key, value in native.items():
        name = _rename(key, _inverse(_MIT))
        for own, published in _inverse(_BLOCK_PARTS):
            name = name.replace(own, published)
        if 'in_proj_' in name:
            channels = len(value) // 3
            reference[name.replace('attn.in_proj_', 'q.')] = value[:channels]
            reference[name.replace('attn.in_proj_', 'kv.')] = value[channels:]
        else:
            reference[name] = value[..., 0, 0] if _LINEAR.fullmatch(key) else value
    return reference


def video_to_segmentor(weights: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Published weights in one of `VIDEO_LAYOUTS` as ``backbone.``, ``decode_head.``, ``auxiliary_head.`` and
    ``fusion.`` of one segmentor. Keys without a known place keep their name, and a MiT keeps its names."""
    return {_rename(key, VIDEO_LAYOUTS[layout]): value for key, value in weights.items()}


def segmentor_to_video(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse: a segmentor with a ``fusion.`` (its MiT already under the reference's names) as published."""
    pairs = _VIDEO_CNN if 'decode_head.aspp_modules.0.conv.weight' in weights else _VIDEO_TRANSFORMER
    return {_rename(key, _inverse(pairs)): value for key, value in weights.items()}


def vfm_to_segmentor(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published network of VFM-UDA or VFM-UDA++ (keys without ``network.``) as ``backbone.`` and ``decode_head.``;
    keys without a known place keep their name."""
    return {_rename(key, _VFM).replace('.dwconv.dwconv.', '.dwconv.'): value for key, value in weights.items()}


def segformer_head_to_mmseg(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published SegFormer head (keys without prefix) as weights of mmseg's SegformerHead with ``act_cfg=None``:
    where the original has a linear layer, convolution and batch norm, which becomes the bias, with identity statistics.
    """
    mmseg = {}
    for stage in range(4):
        bias = head[f'linear_c.{stage}.proj.bias']
        mmseg[f'convs.{stage}.conv.weight'] = head[f'linear_c.{stage}.proj.weight'][..., None, None]
        norm = {
            # Batch norm divides by sqrt(1 + eps).
            'weight': torch.full_like(bias, 1 + 1e-5).sqrt(),
            'bias': bias,
            'running_mean': torch.zeros_like(bias),
            'running_var': torch.ones_like(bias),
            'num_batches_tracked': torch.zeros((), dtype=torch.long, device=bias.device),
        }
        mmseg.update({f'convs.{stage}.bn.{name}': value for name, value in norm.items()})
    rest = {key: value for key, value in head.items() if key.startswith(('linear_fuse.', 'linear_pred.'))}
    pairs = [('linear_fuse.', 'fusion_conv.'), ('linear_pred.', 'conv_seg.')]
    return {**mmseg, **{_rename(key, pairs): value for key, value in rest.items()}}


def _rename(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _inverse(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(new, old) for old, new in pairs]


def _partner(weights: Mapping[str, Tensor], key: str, partner: str) -> Tensor:
    if partner not in weights:
        raise ValueError(f'{key} lacks its partner {partner}: the file is incomplete, fetch it again')
    return weights[partner]
