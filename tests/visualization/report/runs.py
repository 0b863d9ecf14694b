"""Folders as training and testing leave them, written by hand."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from udass.evaluation.counts import ImageCounts

CLASSES = ('road', 'car', 'tree')
PALETTE = [[128, 64, 128], [0, 0, 142], [107, 142, 35]]
ENVIRONMENT = """2026/01/01 00:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    Python: 3.11.7 (main)
    CUDA available: False
    PyTorch: 2.14.1
    PyTorch compiling details: PyTorch built with:

Runtime environment:
    seed: 3
    GPU number: 1
------------------------------------------------------------

2026/01/01 00:00:00 - mmengine - INFO - Config:
    Python: not this one
"""


def write_log(folder: Path, records: list[dict], config: str = '', time: str = '20260101_000000') -> None:
    logs = folder / time / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'scalars.json').write_text(''.join(json.dumps(record) + '\n' for record in records))
    (logs / 'config.py').write_text(config)
    (folder / time / f'{time}.log').write_text(ENVIRONMENT)


def losses(values: dict[int, float], **others: float) -> list[dict]:
    return [
        {'loss': value, 'source.decode.loss_ce': value, 'lr': 1e-3, 'time': 0.5, **others, 'iter': step, 'step': step}
        for step, value in values.items()
    ]


def write_images(root: Path, count: int = 4) -> list[Path]:
    """Pictures and labels: the left half road, right of it car and tree."""
    truth = np.repeat(np.array([0, 0, 1, 2], np.uint8), 16)[None].repeat(32, 0)
    for number in range(count):
        for kind, picture in (('images', np.full((32, 64, 3), 50 * number, np.uint8)), ('labels', truth)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / kind / f'street_{number}.png')
    return [root / 'images' / f'street_{number}.png' for number in range(count)]


def config_text(root: Path, **model: object) -> str:
    dataset = dict(
        type='UDADataset',
        data_root=str(root),
        image_folder='images',
        label_folder='labels',
        image_suffix='.png',
        label_suffix='.png',
        label_table={0: 0, 1: 1, 2: 2},
        test_mode=True,
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        pipeline=[dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='PackUDAInputs')],
    )
    return (
        f'model = {dict(type="DomainAdapter", **model)!r}\ntest_dataloader = {dict(dataset=dataset)!r}\n'
        "scale = (1, 2)\nrandomness = dict(seed=0)\nwork_dir = 'x'\n"
    )


def write_test(folder: Path, images: list[Path], scores: list[float], iou: tuple = (50.0, 25.0, None)) -> None:
    """test.json, test.details.json, test.counts.npz and predictions."""
    present = [value for value in iou if value is not None]
    (folder / 'test.json').write_text(
        json.dumps(
            {
                'config': 'configs/a.py',
                'checkpoint': 'iter_2.pth',
                'branch': 'student',
                'images': len(images),
                'mIoU': sum(present) / len(present),
                'mean_recall': 60.0,
                'pixel_accuracy': 70.0,
                'absent': ['tree'],
                'IoU': dict(zip(CLASSES, iou, strict=True)),
            }
        )
    )
    (folder / 'test.details.json').write_text(
        json.dumps(
            {
                'classes': CLASSES,
                'confusion': [[90, 10, 0], [30, 60, 10], [0, 0, 0]],
                'images': [
                    {'image': str(path), 'mIoU': score, 'IoU': [score] * 3}
                    for path, score in zip(images, scores, strict=True)
                ],
            }
        )
    )
    # The first half of the pixels of class b is wrong in the worse images.
    wrong = [int(score < 20) for score in scores]
    confusion = np.array([[[9, 1, 0], [3 + 3 * part, 6 - 3 * part, 1], [0, 0, 0]] for part in wrong])
    ImageCounts([str(path) for path in images], CLASSES, confusion).write(folder / 'test.counts.npz')
    (folder / 'predictions').mkdir()
    for path in images:
        Image.fromarray(np.zeros((32, 64), np.uint8)).save(folder / 'predictions' / path.name)


def write_panel(folder: Path, iteration: int) -> None:
    (folder / 'panels').mkdir(exist_ok=True)
    Image.fromarray(np.full((40, 1200, 3), 200, np.uint8)).save(folder / 'panels' / f'iter_{iteration:06d}.png')


def write_two_runs(root: Path) -> tuple[Path, Path]:
    """A baseline and a method with everything that a page can show."""
    images = write_images(root / 'data')
    first, second = root / 'plain_baseline', root / 'adapted_with_$math$_&_<b>tags</b>'
    for folder, model, scores in (
        (first, {}, [10.0, 20.0, 30.0, 40.0]),
        (second, {'ema': {'alpha': 0.99}}, [30.0, 25.0, 30.0, 5.0]),
    ):
        write_log(
            folder,
            [*losses({1: 2.0, 2: 1.0}, confidence=0.5), {'mIoU': 12.5, 'time': 0.1, 'step': 2}],
            config_text(root / 'data', **model),
        )
        write_test(folder, images, scores)
        write_panel(folder, 1)
        write_panel(folder, 4000)
    return first, second
