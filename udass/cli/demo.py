"""The demo: adapt a network from labelled game images to unlabelled camera images, and show what that gains.

Trains on the source alone and with QuadMix, tests both on camera images that neither has seen, prints both mIoUs and
draws a comparison. ``make demo`` sets everything up and runs this. What was trained before is not trained again.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from udass.cli import add_strings, command, new_parser

if TYPE_CHECKING:
    from udass.datasets import UDADataset

_METHODS = {'source-only': 'streets_source_only.py', 'QuadMix': 'streets_quadmix.py'}


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    example = 'demo.py --out work_dirs/demo --images 8 (`make demo` sets everything up before)'
    result = new_parser('Train source-only and QuadMix on the built-in streets and compare.', example)
    add = result.add_argument
    add('--configs', default='configs', metavar='DIR', help='folder of the configs')
    add('--out', default='work_dirs/demo', metavar='DIR', help='folder for everything')
    add('--seed', type=int, default=0, help='seed of every random stream')
    add('--images', type=int, default=5, help='test images in the comparison, evenly spaced')
    add_strings(result, 'both configs')
    return result


def draw_panel(args: argparse.Namespace) -> Path:
    """Draw the comparison: image, prediction of each method, truth."""
    from PIL import Image

    from udass.io.images import read_image
    from udass.visualization import draw_comparison, save_image

    def predicted(method: str, image: str) -> np.ndarray:
        return np.array(Image.open(Path(args.out) / method / 'predictions' / f'{Path(image).stem}.png'))

    dataset = test_dataset(f'{args.configs}/{_METHODS["QuadMix"]}')
    chosen = np.linspace(0, len(dataset) - 1, min(args.images, len(dataset))).round().astype(int)
    infos = [dataset.get_data_info(int(index)) for index in chosen]
    columns = {name: [predicted(name, info['img_path']) for info in infos] for name in _METHODS}
    columns['truth'] = [dataset.pipeline(info)['data_samples'].gt_sem_seg.data[0].numpy() for info in infos]
    images = [read_image(info['img_path'])[..., ::-1].copy() for info in infos]
    path = Path(args.out) / 'comparison.png'
    save_image(path, draw_comparison(images, columns, dataset.metainfo['classes'], dataset.metainfo['palette']))
    return path


def test_dataset(config: str) -> 'UDADataset':
    """The test data of a config."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from udass.engine.config import load_config

    settings = load_config(config)
    init_default_scope(settings.default_scope)
    dataset = DATASETS.build(settings.test_dataloader.dataset)
    dataset.full_init()
    return dataset


def report(results: dict[str, dict], comparison: Path, seconds: float) -> str:
    """The result as text."""
    before, after = (results[name] for name in _METHODS)
    lines = ['', f'mIoU on {after["images"]} camera images that were not trained on, in percent:']
    for name, result in results.items():
        lines += [f'  {name:<12} {result["mIoU"]:6.2f}   (trained in {result["train_seconds"]:.0f} s)']
    return '\n'.join(
        [
            *lines,
            f'  gain         {after["mIoU"] - before["mIoU"]:+6.2f}',
            '',
            f'comparison: {comparison}',
            f'what QuadMix trains on: {comparison.parent / "QuadMix" / "panels"}',
            f'This took {seconds:.0f} s. Finished trainings stay; to train again, delete {comparison.parent}',
        ]
    )


def run(args: argparse.Namespace) -> None:
    """Train, test and compare."""
    from udass.cli.experiments.experiment import ExperimentFailed, run_experiment

    start, results = time.monotonic(), {}
    try:
        for name, config in _METHODS.items():
            print(f'\n=== {name}: training and testing {config} ===', flush=True)
            path, folder = f'{args.configs}/{config}', Path(args.out) / name
            results[name] = run_experiment(path, args.seed, folder, args.cfg_options, predictions=True)
    except KeyboardInterrupt:
        sys.stderr.write('\nInterrupted. The same command goes on from here.\n')
        sys.exit(130)
    except ExperimentFailed as error:
        sys.exit(f'error: {error}')
    print(report(results, draw_panel(args), time.monotonic() - start))


main = command(parser, run)
