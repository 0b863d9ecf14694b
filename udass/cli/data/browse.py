"""Show the training samples of a config: augmented images with labels, clips with flow, mixed images."""

import argparse
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from udass.cli import UsageError
from udass.cli.experiments.preview import Preview
from udass.engine.config import load_config
from udass.errors import printable
from udass.io.writing import write_text
from udass.visualization import save_image
from udass.visualization.canvas import legend, scale_bar
from udass.visualization.pages import PAGE_WIDTH, Section, draw_page, html_page
from udass.visualization.panels import CONFIDENCE_LABEL
from udass.visualization.samples import flow_legend, panel_tiles, sample_tiles

_TITLES = {
    'source': ('Source', 'labelled; after the augmentation of the config, before normalisation'),
    'target': ('Target', 'its labels are never read'),
    'long_tail': ('Long tail', 'source images that show a rare class, to be pasted'),
}


def collect(preview: Preview, args: argparse.Namespace) -> list[Section]:
    """The samples of every domain, then the inputs of the passes of each iteration."""
    classes, palette = preview.metainfo['classes'], preview.metainfo['palette']
    random = '' if args.checkpoint else '; pseudo-labels of random weights (--checkpoint takes trained ones)'
    samples, passes = {}, []
    batch_size = next(iter(preview.loop.dataloader.loaders.values())).batch_size
    for number, batch in enumerate(preview.batches(math.ceil(args.number / batch_size)), start=preview.iteration):
        for domain, data in batch.items():
            pairs = zip(data['inputs'], data['data_samples'], strict=True)
            samples.setdefault(domain, []).extend(sample_tiles(*pair, classes, palette) for pair in pairs)
        if preview.has_passes:
            panels = preview.passes(batch)
            for row in range(max(len(panel['frames']) for panel in panels.values())):
                title, tiles = f'Iteration {number}, image {row + 1}', panel_tiles(panels, row, palette)
                passes.append(Section(title, 'what each pass is trained on' + random, tiles))
    domains = [Section(*_TITLES.get(name, (name, '')), groups[: args.number]) for name, groups in samples.items()]
    counts = ', '.join(f'{len(section.groups)} {section.title.lower()}' for section in domains)
    print(f'{args.out}: {counts} samples' + ', and the passes of each iteration' * preview.has_passes)
    return domains + passes


def run(args: argparse.Namespace) -> None:
    """Draw the samples of a config."""
    args.out = args.out or Path('work_dirs') / Path(args.config).stem / 'samples.png'
    if args.out.suffix.lower() not in ('.png', '.html'):
        raise UsageError(f'--out must be a *.png or *.html file, got {args.out}')
    if args.number < 1 or args.iteration < 0:
        raise UsageError(f'--number must be at least 1, --iteration at least 0, got {args.number}, {args.iteration}')
    config = load_config(args.config, args.cfg_options)
    with tempfile.TemporaryDirectory() as folder:
        preview = Preview(config, Path(folder), args.checkpoint, args.iteration, passes=not args.no_passes)
        sections = collect(preview, args)
    write_page(args, sections, preview.metainfo)


def write_page(args: argparse.Namespace, sections: list[Section], metainfo: Mapping) -> None:
    """Write the sections as an image or an HTML page."""
    classes, palette = metainfo['classes'], metainfo['palette']
    if args.out.suffix.lower() == '.html':
        intro = (
            f'Training samples of {args.config}. Confidence: dark violet is 0, yellow is 1. Flow: the colour is the '
            'direction of motion, pale is slow.'
        )
        page = html_page(Path(args.config).stem, intro, sections, classes, palette)
        write_text(args.out, printable(page))
        return
    captions = ' '.join(tile.caption for section in sections for group in section.groups for tile in group)
    keys = [legend(classes, palette, PAGE_WIDTH)]
    if 'confidence' in captions:
        keys.append(scale_bar(PAGE_WIDTH, CONFIDENCE_LABEL))
    if 'flow' in captions:
        keys.append(flow_legend(PAGE_WIDTH))
    save_image(args.out, draw_page(sections, keys))
