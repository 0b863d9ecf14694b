"""Convert published weights for the configs of this project, and its weights for other code bases."""

import argparse
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from udass.engine.config_files import read_config
from udass.io.checksums import add_checksum
from udass.io.settings import parse_keys
from udass.io.writing import atomic_path
from udass.models.backbones.lora import has_lora, merge_lora
from udass.models.checkpoints import (
    add_fusion,
    convert,
    load_strictly,
    read_checkpoint,
    to_mmseg,
    to_reference,
    weights_of,
)


def check(config_file: str, weights: Mapping[str, Tensor]) -> str:
    """Load weights into the network of a config, or into its backbone if they are a backbone's; returns its name."""
    config = read_config(config_file)
    init_default_scope('mmseg')
    network = MODELS.build(config.get('segmentor') or config.model.get('student') or config.model)
    if not any(key.startswith('backbone.') for key in weights):
        network = network.backbone
    load_strictly(network, weights, 'the result')
    return f'{type(network).__name__} of {config_file}'


def lora_settings(content: Mapping, path: Path) -> dict:
    """Rank and alpha of the LoRA of the network whose training wrote a checkpoint, from the config in it."""
    model = parse_keys((content.get('meta') or {}).get('cfg', ''), path, ['model']).get('model', {})
    lora = model.get('student', {}).get('backbone', {}).get('lora')
    if not lora:
        raise ValueError(
            f'{path} has weights of LoRA, but no config that says their alpha: convert the checkpoint of the training'
        )
    return {name: lora[name] for name in ('rank', 'alpha')}


def run(args: argparse.Namespace) -> None:
    """Convert a file."""
    if args.output.resolve() == args.input.resolve():
        raise ValueError(f'OUT is IN ({args.input}): name another file to write')
    if args.check is not None and args.target != 'udass':
        raise ValueError(f'--check needs names of this project, not those of --to {args.target}: leave one of them out')
    content = read_checkpoint(args.input)
    conversion = convert(weights_of(content, args.input), source=args.source, branch=args.branch)
    lines, weights = conversion.summary(), conversion.weights
    if has_lora(weights):
        weights = merge_lora(weights, **lora_settings(content, args.input))
        lines.append('merged the changes of low rank (LoRA) into the weights: set no lora in the config of the result')
    if args.add_fusion is not None:
        weights = add_fusion(weights, args.add_fusion)
        lines.append(f'added a fusion, share of the frame before {args.add_fusion:g}')
    if args.check is not None:
        lines.append(f'fills {check(args.check, weights)} completely')
    if args.target == 'mmseg':
        weights, notes = to_mmseg(weights)
        lines += [f'note: {note}' for note in notes]
    elif args.target == 'reference':
        weights = to_reference(weights)
    meta = {'converted_from': args.input.name, 'layout': conversion.layout, 'names': args.target}
    save(args.output, meta, weights)
    print('\n'.join([*lines, f'wrote {len(weights)} tensors to {args.output}']))


def save(path: Path, meta: dict, weights: Mapping[str, Tensor]) -> None:
    """Write a checkpoint whole or not at all, with a checksum."""
    # Views would store the tensors they are cut from.
    content = {'meta': meta, 'state_dict': {key: value.clone() for key, value in weights.items()}}
    # To a file itself, torch.save turns the error of a full disk into one that does not say so.
    buffer = BytesIO()
    torch.save(content, buffer)
    with atomic_path(path, durable=True) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        add_checksum(temporary)
