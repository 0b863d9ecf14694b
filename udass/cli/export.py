"""Export a trained network to a folder that other programs read; docs/export.md describes its files."""

import argparse
from pathlib import Path

from udass.cli import UsageError
from udass.export import export


def run(args: argparse.Namespace) -> None:
    """Export, and print what was written."""
    if len(args.files) > 2:
        raise UsageError(f'give a checkpoint, or a config and a checkpoint; got {", ".join(args.files)}')
    out = args.out or str(Path(args.files[-1]).with_suffix('')) + '_exported'
    config = export(
        *args.files,
        out=out,
        formats=args.formats,
        size=args.size,
        dynamic=args.dynamic,
        ids=args.output == 'ids',
        check=args.compare,
        branch=args.branch,
        options=args.cfg_options,
    )
    for name, told in config['files'].items():
        size = 'any size' if told.get('dynamic') else '{}x{}'.format(*told.get('size', (0, 0)))
        takes = f', images of {size}' if 'size' in told else ''
        opset = f', opset {told["opset"]}' if 'opset' in told else ''
        print(f'{name}{takes}{opset}{_closeness(told)}')
    print(f'{out}: {", ".join([*config["files"], "config.json", "README.md"])}')


def _closeness(told: dict) -> str:
    """How far the file is from the network, if that was measured."""
    if 'equal_labels' not in told:
        return ''
    difference = f'logits within {told["logit_difference"]:.1e}, ' if 'logit_difference' in told else ''
    return f': {difference}{100 * told["equal_labels"]:.3f} % equal labels'
