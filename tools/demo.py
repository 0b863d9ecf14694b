"""The demo: adapts a network from labelled game pictures to unlabelled camera pictures, and shows what that gains.

Trains on the source alone and with QuadMix, tests both on camera pictures that neither has seen, prints both mIoUs and
writes a picture. `make demo` sets everything up and runs this. What was trained before is kept.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from udass.cli.command import run_command
from udass.cli.experiments.experiment import ExperimentFailed, run_experiment
from udass.datasets import UDADataset
from udass.engine.config import load_config
from udass.io.images import read_image
from udass.visualization import draw_comparison, save_image

_METHODS = {'source-only': 'streets_source_only.py', 'QuadMix': 'streets_quadmix.py'}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train source-only and QuadMix on the built-in streets and compare.',
        epilog='example: python tools/demo.py --out work_dirs/demo --images 8 (`make demo` sets everything up before)',
    )
    parser.add_argument('--configs', default='configs', metavar='DIR', help='folder of the configs')
    parser.add_argument('--out', default='work_dirs/demo', metavar='DIR', help='folder for everything')
    parser.add_argument('--seed', type=int, default=0, help='seed of every random stream')
    parser.add_argument('--images', type=int, default=5, help='test images in the picture, evenly spaced')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings that replace those of both configs'
    )
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def train_methods(args: argparse.Namespace) -> dict[str, dict]:
    """Result of each method."""
    results = {}
    for name, config in _METHODS.items():
        print(f'\n=== {name}: training and testing {config} ===', flush=True)
        results[name] = run_experiment(
            f'{args.configs}/{config}',
            args.seed,
            Path(args.out) / name,
            Path(__file__).parent,
            args.cfg_options,
            predictions=True,
        )
    return results


def draw_panel(args: argparse.Namespace) -> Path:
    """Writes the picture: image, prediction of each method, truth."""
    dataset = test_dataset(f'{args.configs}/{_METHODS["QuadMix"]}')
    chosen = np.linspace(0, len(dataset) - 1, min(args.images, len(dataset))).round().astype(int)
    infos = [dataset.get_data_info(int(index)) for index in chosen]
    columns = {name: [predicted_labels(Path(args.out) / name, info['img_path']) for info in infos] for name in _METHODS}
    columns['truth'] = [dataset.pipeline(info)['data_samples'].gt_sem_seg.data[0].numpy() for info in infos]
    images = [read_image(info['img_path'])[..., ::-1].copy() for info in infos]
    picture = draw_comparison(images, columns, dataset.metainfo['classes'], dataset.metainfo['palette'])
    path = Path(args.out) / 'comparison.png'
    save_image(path, picture)
    return path


def test_dataset(config: str) -> UDADataset:
    settings = load_config(config)
    init_default_scope(settings.default_scope)
    dataset = DATASETS.build(settings.test_dataloader.dataset)
    dataset.full_init()
    return dataset


def predicted_labels(folder: Path, image: str) -> np.ndarray:
    """Class ids (H, W) that the test of a method wrote for an image."""
    return np.array(Image.open(folder / 'predictions' / f'{Path(image).stem}.png'))


def report(results: dict[str, dict], picture: Path, seconds: float) -> str:
    """What the demo found, in words."""
    before, after = (results[name] for name in _METHODS)
    lines = ['', f'mIoU on {after["images"]} camera pictures that were not trained on, in percent:']
    lines += [
        f'  {name:<12} {result["mIoU"]:6.2f}   (trained in {result["train_seconds"]:.0f} s)'
        for name, result in results.items()
    ]
    lines += [
        f'  gain         {after["mIoU"] - before["mIoU"]:+6.2f}',
        '',
        f'picture: {picture}',
        f'what QuadMix trains on: {picture.parent / "QuadMix" / "panels"}',
        f'This took {seconds:.0f} s. Finished trainings are kept; to train again, delete {picture.parent}',
    ]
    return '\n'.join(lines)


def run_demo(args: argparse.Namespace) -> None:
    start = time.monotonic()
    try:
        results = train_methods(args)
    except KeyboardInterrupt:
        sys.stderr.write('\nInterrupted. The same command goes on from here.\n')
        sys.exit(130)
    except ExperimentFailed as error:
        sys.exit(f'error: {error}')
    print(report(results, draw_panel(args), time.monotonic() - start))


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: run_demo(args))


if __name__ == '__main__':
    main()
