"""Names and layouts of weights: the reference's MiT and mmseg's, both directions.

The reference (SegFormer and every code base built on it) keeps queries apart from keys and values and has linear layers
where mmseg has 1x1 convolutions; mmseg counts stages from 0 and keeps one input projection.
Shapes: E channels of a stage; ``q`` is (E, E), ``kv`` (2E, E), mmseg's ``in_proj`` (3E, E), queries first.
"""

import re

import torch
from torch import Tensor

# Parts of a transformer block, reference to mmseg.
_BLOCK_PARTS = {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'attn.proj': 'attn.attn.out_proj',
    'attn.sr': 'attn.sr',
    'attn.norm': 'attn.norm',
    'mlp.fc1': 'ffn.layers.0',
    'mlp.dwconv.dwconv': 'ffn.layers.1',
    'mlp.fc2': 'ffn.layers.4',
}
_REFERENCE_PARTS = {native: reference for reference, native in _BLOCK_PARTS.items()}
_LINEAR = ('mlp.fc1', 'mlp.fc2')

_REFERENCE_EMBED = re.compile(r'patch_embed(\d)\.(proj|norm)\.(weight|bias)')
_REFERENCE_NORM = re.compile(r'norm(\d)\.(weight|bias)')
_REFERENCE_BLOCK = re.compile(r'block(\d)\.(\d+)\.(.+)\.(weight|bias)')
_NATIVE_EMBED = re.compile(r'layers\.(\d)\.0\.(projection|norm)\.(weight|bias)')
_NATIVE_NORM = re.compile(r'layers\.(\d)\.2\.(weight|bias)')
_NATIVE_BLOCK = re.compile(r'layers\.(\d)\.1\.(\d+)\.(.+)[._](weight|bias)')


def mit_to_native(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a MiT under mmseg's names.

    Raises:
        ValueError: a key is none of a MiT's, or a query projection lacks its key-value projection or the reverse.
    """
    native, unknown = {}, []
    for key, value in reference.items():
        if match := _REFERENCE_EMBED.fullmatch(key):
            stage, part, kind = match.groups()
            native[f'layers.{int(stage) - 1}.0.{"projection" if part == "proj" else part}.{kind}'] = value
        elif match := _REFERENCE_NORM.fullmatch(key):
            native[f'layers.{int(match[1]) - 1}.2.{match[2]}'] = value
        elif match := _REFERENCE_BLOCK.fullmatch(key):
            stage, block, part, kind = match.groups()
            place = f'layers.{int(stage) - 1}.1.{block}'
            if part in _BLOCK_PARTS:
                weight = value[..., None, None] if part in _LINEAR and kind == 'weight' else value
                native[f'{place}.{_BLOCK_PARTS[part]}.{kind}'] = weight
            elif part == 'attn.q':
                partner = f'block{stage}.{block}.attn.kv.{kind}'
                native[f'{place}.attn.attn.in_proj_{kind}'] = torch.cat([value, _partner(reference, key, partner)])
            elif part == 'attn.kv':
                _partner(reference, key, f'block{stage}.{block}.attn.q.{kind}')
            else:
                unknown.append(key)
        else:
            unknown.append(key)
    _refuse(unknown, 'the reference MiT')
    return native


def mit_to_reference(native: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `mit_to_native`, with views of the same tensors.

    Raises:
        ValueError: a key is none of mmseg's MiT.
    """
    reference, unknown = {}, []
    for key, value in native.items():
        if match := _NATIVE_EMBED.fullmatch(key):
            stage, part, kind = match.groups()
            reference[f'patch_embed{int(stage) + 1}.{"proj" if part == "projection" else part}.{kind}'] = value
        elif match := _NATIVE_NORM.fullmatch(key):
            reference[f'norm{int(match[1]) + 1}.{match[2]}'] = value
        elif match := _NATIVE_BLOCK.fullmatch(key):
            stage, block, part, kind = match.groups()
            place = f'block{int(stage) + 1}.{block}'
            if part in _REFERENCE_PARTS:
                name = _REFERENCE_PARTS[part]
                linear = name in _LINEAR and kind == 'weight'
                reference[f'{place}.{name}.{kind}'] = value[..., 0, 0] if linear else value
            elif part == 'attn.attn.in_proj':
                channels = len(value) // 3
                reference[f'{place}.attn.q.{kind}'] = value[:channels]
                reference[f'{place}.attn.kv.{kind}'] = value[channels:]
            else:
                unknown.append(key)
        else:
            unknown.append(key)
    _refuse(unknown, "mmseg's MiT")
    return reference


def segformer_head_to_mmseg(head: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published SegFormer head (keys without prefix) as weights of mmseg's SegformerHead with ``act_cfg=None``.

    mmseg embeds with convolution and batch norm where the original has a linear layer: the batch norm becomes the bias,
    with identity statistics.
    """
    mmseg = {}
    for stage in range(4):
        weight, bias = head[f'linear_c.{stage}.proj.weight'], head[f'linear_c.{stage}.proj.bias']
        norm = f'convs.{stage}.bn'
        mmseg[f'convs.{stage}.conv.weight'] = weight[..., None, None]
        # Batch norm divides by sqrt(1 + eps).
        mmseg[f'{norm}.weight'] = torch.full_like(bias, 1 + 1e-5).sqrt()
        mmseg[f'{norm}.bias'] = bias
        mmseg[f'{norm}.running_mean'] = torch.zeros_like(bias)
        mmseg[f'{norm}.running_var'] = torch.ones_like(bias)
        mmseg[f'{norm}.num_batches_tracked'] = torch.zeros((), dtype=torch.long, device=bias.device)
    for key, value in head.items():
        if key.startswith('linear_fuse.'):
            mmseg[key.replace('linear_fuse', 'fusion_conv')] = value
        elif key.startswith('linear_pred.'):
            mmseg[key.replace('linear_pred', 'conv_seg')] = value
    return mmseg


def _partner(weights: dict[str, Tensor], key: str, partner: str) -> Tensor:
    if partner not in weights:
        raise ValueError(f'{key} lacks its partner {partner}: the file is incomplete')
    return weights[partner]


def _refuse(unknown: list[str], what: str) -> None:
    if unknown:
        raise ValueError(f'{len(unknown)} keys are no part of {what}: {", ".join(unknown)}')
