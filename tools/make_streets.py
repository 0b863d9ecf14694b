"""Write the built-in street scenes (images, and clips with exact optical flow) as dataset folders.

    python tools/make_streets.py --root data/streets --clips
"""

from __future__ import annotations

import argparse

from tqdm import tqdm

from udass.datasets.streets import DEFAULT_CLIP_COUNTS, write_streets


def main() -> None:
    """Read the options and write what is missing."""
    parser = argparse.ArgumentParser(
        description='Write the built-in street scenes (images, and clips with exact optical flow) as dataset folders.',
        epilog='example: python tools/make_streets.py --root data/streets --clips',
    )
    parser.add_argument('--root', default='data/streets', help='folder to fill (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of all pictures (default: %(default)s)')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), default=(192, 384), help='pixels (default: 192 384)'
    )
    parser.add_argument('--clips', action='store_true', help='write clips with optical flow too')
    parser.add_argument('--force', action='store_true', help='replace streets that were drawn with other arguments')
    parser.add_argument('--workers', type=int, default=None, help='processes (default: one per core)')
    options = parser.parse_args()
    try:
        drawn = write_streets(
            options.root,
            seed=options.seed,
            size=tuple(options.size),
            clip_counts=DEFAULT_CLIP_COUNTS if options.clips else None,
            force=options.force,
            workers=options.workers,
            progress=lambda items, total: tqdm(items, total=total, desc='streets', disable=total == 0),
        )
    except ValueError as error:
        parser.exit(1, f'error: {error}\n')
    print(
        f'{drawn} drawn, the rest was there: {options.root}' if drawn else f'nothing to draw, all there: {options.root}'
    )


if __name__ == '__main__':
    main()
