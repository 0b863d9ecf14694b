"""Shows what the networks of a config are trained on: augmented samples with labels, clips with flow, mixed images.

    python tools/browse_data.py configs/streets_quadmix.py --out samples.png
    python tools/browse_data.py configs/streets_quadmix.py --out samples.html --number 8 \
        --checkpoint work_dirs/streets_quadmix/iter_450.pth --iteration 400

Without a checkpoint pseudo-labels come from random weights: they show where labels go, not what they are worth.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from mmengine.config import DictAction

from udass.cli.command import run_command
from udass.cli.experiments.preview import Preview
from udass.engine.config import load_config
from udass.errors import printable
from udass.io.writing import write_text
from udass.visualization import save_image
from udass.visualization.canvas import Tile, legend, scale_bar
from udass.visualization.pages import PAGE_WIDTH, Section, draw_page, html_page
from udass.visualization.panels import CONFIDENCE_LABEL
from udass.visualization.samples import flow_legend, panel_tiles, sample_tiles

_TITLES = {
    'source': ('Source', 'labelled; after the augmentation of the config, before normalisation'),
    'target': ('Target', 'its labels are never read'),
    'long_tail': ('Long tail', 'source images that show a rare class, to be pasted'),
}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Show what the networks of a config are trained on: samples, clips with flow, mixed images.',
        epilog='example: python tools/browse_data.py configs/streets_quadmix.py --out samples.html --number 8',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='*.png: one picture, *.html: one page that opens from disk '
        '(default: work_dirs/<name of the config>/samples.png)',
    )
    parser.add_argument(
        '--number', type=int, default=4, metavar='N', help='samples of each domain (default: %(default)s)'
    )
    parser.add_argument(
        '--iteration',
        type=int,
        default=0,
        metavar='N',
        help='from which iteration on; a mixing that starts later is seen there (default: 0)',
    )
    parser.add_argument('--checkpoint', metavar='FILE', help='networks that make the pseudo-labels')
    parser.add_argument('--no-passes', action='store_true', help='samples only: runs no network')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    args = parser.parse_args(arguments)
    args.out = Path(args.out or Path('work_dirs') / Path(args.config).stem / 'samples.png')
    if args.out.suffix.lower() not in ('.png', '.html'):
        parser.error(f'--out is a *.png or *.html file, got {args.out}')
    if args.number < 1 or args.iteration < 0:
        parser.error(f'--number is at least 1 and --iteration at least 0, got {args.number} and {args.iteration}')
    return args


def collect(preview: Preview, args: argparse.Namespace) -> list[Section]:
    """The samples of every domain, then what each iteration makes of them."""
    classes, palette = preview.metainfo['classes'], preview.metainfo['palette']
    samples: dict[str, list[list[Tile]]] = {}
    passes: list[Section] = []
    size = preview.loop.dataloader.loaders[next(iter(preview.loop.dataloader.loaders))].batch_size
    for number, batch in enumerate(preview.batches(math.ceil(args.number / size)), start=preview.iteration):
        for domain, data in batch.items():
            samples.setdefault(domain, []).extend(batch_tiles(data, classes, palette))
        if preview.has_passes:
            panels = preview.passes(batch)
            rows = max(len(panel['frames']) for panel in panels.values())
            note = 'what each pass is trained on' + (
                '' if args.checkpoint else '; pseudo-labels of random weights (--checkpoint takes trained ones)'
            )
            passes += [
                Section(f'Iteration {number}, image {row + 1}', note, panel_tiles(panels, row, palette))
                for row in range(rows)
            ]
    sections = [
        Section(*_TITLES.get(domain, (domain, '')), groups[: args.number]) for domain, groups in samples.items()
    ]
    return sections + passes


def batch_tiles(data: Mapping, classes: tuple[str, ...], palette: list) -> Iterator[list[Tile]]:
    for inputs, sample in zip(data['inputs'], data['data_samples'], strict=True):
        yield sample_tiles(inputs, sample, classes, palette)


def browse(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    with tempfile.TemporaryDirectory() as folder:
        preview = Preview(config, Path(folder), args.checkpoint, args.iteration, passes=not args.no_passes)
        sections = collect(preview, args)
    write_page(args, sections, preview.metainfo)
    shown = ', '.join(
        f'{len(section.groups)} {section.title.lower()}'
        for section in sections[:3]
        if not section.title.startswith('Iteration')
    )
    print(f'{args.out}: {shown} samples' + ', and the passes of each iteration' * preview.has_passes)


def write_page(args: argparse.Namespace, sections: list[Section], metainfo: Mapping) -> None:
    classes, palette = metainfo['classes'], metainfo['palette']
    captions = [tile.caption for section in sections for group in section.groups for tile in group]
    if args.out.suffix.lower() == '.html':
        intro = (
            f'What the networks of {args.config} are shown. Confidence: dark violet is 0, yellow is 1. Flow: the '
            'colour is the direction of motion, pale is slow.'
        )
        page = html_page(Path(args.config).stem, intro, sections, classes, palette)
        write_text(args.out, printable(page))
        return
    keys: list[np.ndarray] = [legend(classes, palette, PAGE_WIDTH)]
    if any('confidence' in caption for caption in captions):
        keys.append(scale_bar(PAGE_WIDTH, CONFIDENCE_LABEL))
    if any('flow' in caption for caption in captions):
        keys.append(flow_legend(PAGE_WIDTH))
    save_image(args.out, draw_page(sections, keys))


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: browse(args))


if __name__ == '__main__':
    main()
