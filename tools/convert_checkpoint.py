"""Converts published weights for the configs of this project, and ours for other code bases.

    python tools/convert_checkpoint.py mit_b5.pth mit_b5_udass.pth --from mit
    python tools/convert_checkpoint.py mic.pth out.pth --from mic --check configs/_base_/models/hrda_daformer_mitb5.py
    python tools/convert_checkpoint.py work_dirs/gta2cs_quadmix/iter_40000.pth quadmix_mmseg.pth --to mmseg
    python tools/convert_checkpoint.py work_dirs/camvid_day2dusk_quadmix/iter_600.pth video.pth --add-fusion 0.5

docs/checkpoints.md says what is understood, and where published files are used.
"""
import argparse
import os
from io import BytesIO
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import udass.models  # noqa: F401  registers the networks
from udass.checksums import add_checksum
from udass.engine.checkpoint import atomic_target
from udass.engine.command import run_command
from udass.engine.config_files import read_config
from udass.models.checkpoints import (
    SOURCES,
    add_fusion,
    convert,
    load_strictly,
    read_checkpoint,
    to_mmseg,
    to_reference,
    weights_of,
)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert weights between code bases: published, ours, mmseg.',
        epilog='example: python tools/convert_checkpoint.py mic.pth mic_udass.pth --from mic --check '
               'configs/_base_/models/hrda_daformer_mitb5.py')
    parser.add_argument('input', type=Path, metavar='IN', help='file of torch.save')
    parser.add_argument('output', type=Path, metavar='OUT', help='file to write')
    parser.add_argument('--from', dest='source', choices=SOURCES, default='auto',
                        help='where IN comes from (default: auto, what its keys show; files of this project, too)')
    parser.add_argument('--branch', choices=('student', 'teacher'), default='student',
                        help='network of a training checkpoint (default: student, which the papers evaluate)')
    parser.add_argument('--to', dest='target', choices=('udass', 'mmseg', 'reference'), default='udass',
                        help="names to write: this project's (default), those that fit plain MMSegmentation best, or "
                        'the published ones')
    parser.add_argument('--add-fusion', type=float, metavar='SHARE',
                        help='make an image network one of two frames, whose scores are (1 - SHARE) times those of the '
                        'frame plus SHARE times those of the frame before, warped by optical flow')
    parser.add_argument('--check', metavar='CONFIG', help='make sure that the network of this config takes the result')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def check(config_file: str, weights: dict[str, torch.Tensor]) -> str:
    """Load the weights into the network of a config, or into its backbone if they are a backbone's.

    Returns:
        str: what was filled.
    """
    config = read_config(config_file)
    model = config.get('segmentor') or config.model.get('student') or config.model
    init_default_scope('mmseg')
    network = MODELS.build(model)
    if not any(key.startswith('backbone.') for key in weights):
        network = network.backbone
    load_strictly(network, weights, 'the result')
    return f'{type(network).__name__} of {config_file}'


def run(args: argparse.Namespace) -> None:
    if args.output.resolve() == args.input.resolve():
        raise ValueError(f'OUT is IN ({args.input}): name another file to write')
    if args.check is not None and args.target != 'udass':
        raise ValueError(f'--check compares with a network of this project; the names of --to {args.target} do not fit')
    conversion = convert(weights_of(read_checkpoint(args.input), args.input), source=args.source, branch=args.branch)
    lines, weights = conversion.summary(), conversion.weights
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
    args.output.parent.mkdir(parents=True, exist_ok=True)
    # Views would store the tensors they are cut from.
    content = {'meta': {'converted_from': args.input.name, 'layout': conversion.layout, 'names': args.target},
               'state_dict': {key: value.clone() for key, value in weights.items()}}
    # To a file itself, torch.save turns the error of a full disk into one that does not say so.
    buffer = BytesIO()
    torch.save(content, buffer)
    with atomic_target(args.output) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        add_checksum(temporary)
    print('\n'.join([*lines, f'wrote {len(weights)} tensors to {args.output}']))


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: run(args))


if __name__ == '__main__':
    main()
