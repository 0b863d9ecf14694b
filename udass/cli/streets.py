"""Write the built-in street scenes (images, and clips with exact optical flow) as data set folders.

What is there already stays.
"""

import argparse

from udass.cli import command, new_parser


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    example = 'make_streets.py --root data/streets --clips'
    result = new_parser('Write the built-in street scenes as data set folders.', example)
    add = result.add_argument
    add('--root', default='data/streets', help='folder to fill (default: %(default)s)')
    add('--seed', type=int, default=0, help='seed of all images (default: %(default)s)')
    add('--size', type=int, nargs=2, metavar=('H', 'W'), default=(192, 384), help='pixels (default: 192 384)')
    add('--clips', action='store_true', help='write clips with optical flow too')
    add('--force', action='store_true', help='replace streets that were drawn with other arguments')
    add('--workers', type=int, default=None, help='processes (default: one per core)')
    return result


def run(args: argparse.Namespace) -> None:
    """Draw what is missing."""
    from tqdm import tqdm

    from udass.streets import DEFAULT_CLIP_COUNTS, write_streets

    drawn = write_streets(
        args.root,
        seed=args.seed,
        size=tuple(args.size),
        clip_counts=DEFAULT_CLIP_COUNTS if args.clips else None,
        force=args.force,
        workers=args.workers,
        progress=lambda items, total: tqdm(items, total=total, desc='streets', disable=total == 0),
    )
    print(f'{drawn} drawn, the rest was there: {args.root}' if drawn else f'nothing to draw, all there: {args.root}')


main = command(parser, run)
