"""Write the built-in street scenes (images, and clips with exact optical flow) as data set folders.

What is there already stays.
"""

import argparse
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from udass.streets import DEFAULT_CLIP_COUNTS, write_streets


def progress(items: Iterable, total: int) -> tqdm:
    """A bar of the images and clips to draw; none where all are there."""
    return tqdm(items, total=total, desc='streets', disable=None if total else True)


def by_domain(counts: Sequence[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """Domain to split to number."""
    result: dict[str, dict[str, int]] = {}
    for domain, split, number in counts:
        result.setdefault(domain, {})[split] = number
    return result


def run(args: argparse.Namespace) -> None:
    """Draw what is missing."""
    drawn = write_streets(
        args.root,
        seed=args.seed,
        size=tuple(args.size),
        counts=by_domain(args.counts),
        clip_counts=None if args.clips is None else by_domain(args.clips) or DEFAULT_CLIP_COUNTS,
        force=args.force,
        workers=args.workers,
        progress=progress,
    )
    print(f'{drawn} drawn, the rest was there: {args.root}' if drawn else f'nothing to draw, all there: {args.root}')
