"""The demo: adapt a network from labelled game images to unlabelled camera images, and show what that gains."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from udass.cli.data.streets import progress
from udass.cli.experiments.experiment import run_experiment
from udass.datasets import UDADataset
from udass.engine.config import load_config
from udass.io.images import read_image
from udass.streets import write_streets
from udass.visualization import draw_comparison, save_image

_METHODS = {'source-only': 'streets_source_only', 'QuadMix': 'streets_quadmix'}
_LOADERS = ('train_dataloader.source', 'train_dataloader.target', 'val_dataloader', 'test_dataloader')
# With --quick: enough to see that everything works, and too little to learn much.
_QUICK_IMAGES = {'game': {'train': 40, 'val': 0}, 'camera': {'train': 40, 'val': 10}}
_QUICK_ITERATIONS = 20


def streets_of(args: argparse.Namespace) -> str:
    """The folder of the images."""
    return f'{args.out}/streets' if args.quick else 'data/streets'


def options_of(method: str, args: argparse.Namespace) -> list[str]:
    """The settings of a method that differ from its config."""
    if not args.quick:
        return list(args.cfg_options)
    loaders = [name for name in _LOADERS if method == 'QuadMix' or name != 'train_dataloader.target']
    options = [f'{name}.dataset.data_root={streets_of(args)}' for name in loaders]
    lengths = [f'train_cfg.{name}={_QUICK_ITERATIONS}' for name in ('max_iters', 'val_interval')]
    return [*options, *lengths, 'default_hooks.logger.interval=10', *args.cfg_options]


def draw_panel(args: argparse.Namespace) -> Path:
    """Draw the comparison: image, prediction of each method, truth."""

    def predicted(method: str, image: str) -> np.ndarray:
        return np.array(Image.open(Path(args.out) / method / 'predictions' / f'{Path(image).stem}.png'))

    dataset = test_dataset(streets_of(args))
    chosen = np.linspace(0, len(dataset) - 1, min(args.images, len(dataset))).round().astype(int)
    infos = [dataset.get_data_info(int(index)) for index in chosen]
    columns = {name: [predicted(name, info['img_path']) for info in infos] for name in _METHODS}
    columns['truth'] = [dataset.pipeline(info)['data_samples'].gt_sem_seg.data[0].numpy() for info in infos]
    images = [read_image(info['img_path'])[..., ::-1].copy() for info in infos]
    path = Path(args.out) / 'comparison.png'
    save_image(path, draw_comparison(images, columns, dataset.metainfo['classes'], dataset.metainfo['palette']))
    return path


def test_dataset(root: str) -> UDADataset:
    """The test data of both methods."""
    settings = load_config(_METHODS['QuadMix'], {'test_dataloader.dataset.data_root': root})
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
    lines += [
        f'  gain         {after["mIoU"] - before["mIoU"]:+6.2f}',
        '',
        f'comparison: {comparison}',
        f'what QuadMix trains on: {comparison.parent / "QuadMix" / "panels"}',
        f'This took {seconds:.0f} s. Finished trainings stay; to train again, delete {comparison.parent}',
    ]
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> None:
    """Train, test and compare."""
    start, results = time.monotonic(), {}
    args.out = args.out or ('work_dirs/demo_quick' if args.quick else 'work_dirs/demo')
    write_streets(streets_of(args), counts=_QUICK_IMAGES if args.quick else {}, progress=progress)
    try:
        for name, config in _METHODS.items():
            print(f'\n=== {name}: training and testing {config} ===', flush=True)
            folder = Path(args.out) / name
            results[name] = run_experiment(config, args.seed, folder, options_of(name, args), predictions=True)
    except KeyboardInterrupt:
        sys.stderr.write('\nInterrupted. The same command goes on from here.\n')
        sys.exit(130)
    print(report(results, draw_panel(args), time.monotonic() - start))
