"""Writes the built-in street scenes (images, and clips with exact optical flow) as data set folders.

    python tools/make_streets.py --root data/streets --clips

What is there already is kept.
"""
import argparse
import os
import re

from tqdm import tqdm

from udass.datasets.streets import DEFAULT_CLIP_COUNTS, write_streets
from udass.engine.command import run_command


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write the built-in street scenes as data set folders.',
                                     epilog='example: python tools/make_streets.py --root data/streets --clips')
    parser.add_argument('--root', default='data/streets', help='folder to fill (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of all pictures (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=(192, 384),
                        help='pixels (default: 192 384)')
    parser.add_argument('--counts', nargs='+', type=parse_count, metavar='DOMAIN/SPLIT=N', help='images of each domain '
                        'and split, for example game/train=600 (default: 300 to train on, 50 and 100 to test)')
    parser.add_argument('--clips', action='store_true', help='write clips with optical flow too')
    parser.add_argument('--force', action='store_true', help='replace streets that were drawn with other arguments')
    parser.add_argument('--workers', type=int, default=None, help='processes (default: one per core)')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def parse_count(text: str) -> tuple[str, str, int]:
    """'game/train=600' -> ('game', 'train', 600).

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    found = re.fullmatch(r'(\w+)/(\w+)=(\d+)', text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form DOMAIN/SPLIT=N, for example game/train=600')
    return found[1], found[2], int(found[3])


def make(args: argparse.Namespace) -> None:
    counts: dict[str, dict[str, int]] = {}
    for domain, split, number in args.counts or ():
        counts.setdefault(domain, {})[split] = number
    drawn = write_streets(
        args.root, seed=args.seed, size=tuple(args.size), counts=counts,
        clip_counts=DEFAULT_CLIP_COUNTS if args.clips else None,
        force=args.force, workers=args.workers,
        progress=lambda items, total: tqdm(items, total=total, desc='streets', disable=total == 0))
    print(f'{drawn} drawn, the rest was there: {args.root}' if drawn else f'nothing to draw, all there: {args.root}')


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: make(args))


if __name__ == '__main__':
    main()
