"""What is trained: the network, the sizes and the method, as a config file that ``udass train`` takes."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from udass.cli.adapt.folders import LabelledFolder, Target
from udass.cli.adapt.labels import Classes
from udass.cli.experiments.preview import Preview
from udass.engine.config import load_config
from udass.io.labels import IGNORE_INDEX
from udass.io.published import CONFIGS
from udass.models.backbones.timm import fetch_weights
from udass.models.checkpoints.reading import local_file

# Runs of fewer iterations are too short for a slow teacher and for the published start of QuadMix.
_SHORT = 2000
_PUBLISHED_LENGTH, _PUBLISHED_START = 40_000, 6000
# QuadMix pastes rare classes from images with more pixels of them, as published.
_MIN_PIXELS = 50


@dataclass(frozen=True)
class Network:
    """A network, and how it is trained.

    Attributes:
        base, runtime, schedule, loaders: files of ``configs/_base_``.
        iterations: of a training, if not said otherwise.
        memory: of a GPU that is free, in GiB, from which on it is chosen; None also without a GPU.
        side: pixels of the shorter side of a crop, at most.
        shrink: images are made smaller by this factor, unless that is less than 128 pixels.
        ratio: of the sides of a crop, at most.
        resize: random factors of the size of images.
        warmup: iterations, at most a tenth of all.
        weights: address, or name in timm, of the weights that it starts from; None is random.
    """

    base: str
    schedule: str
    iterations: int
    memory: float | None = None
    runtime: str = 'small_runtime'
    loaders: str = 'pipelines/small_loaders'
    side: int = 240
    shrink: float = 2 / 3
    ratio: float = 1.5
    resize: tuple[float, float] | None = None
    start_factor: float = 1e-3
    warmup: int = 40
    weights: str | None = None


_MIT = 'https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/'
_ON_GPU = dict(
    schedule='adamw_40k_mit',
    iterations=10_000,
    runtime='default_runtime',
    loaders='pipelines/loaders',
    side=512,
    shrink=1,
    ratio=1,
    start_factor=1e-6,
    warmup=1500,
)
# The first that fits is taken. The memory is an estimate for two crops of 512, with room to spare.
NETWORKS = {
    'daformer_b5': Network('daformer_mitb5', memory=16, weights=f'{_MIT}mit_b5_20220624-658746d9.pth', **_ON_GPU),
    'segformer_b0': Network('segformer_mitb0', memory=6, weights=f'{_MIT}mit_b0_20220624-7e0fe6dd.pth', **_ON_GPU),
    'efficientnet_lite0': Network(
        'small_effnet_lite0', 'small_finetune', 600, resize=(1.0, 1.5), weights='tf_efficientnet_lite0'
    ),
    'resnet10t': Network('small_resnet10t', 'small_scratch', 450),
}
METHODS = ('dacs', 'daformer', 'mic', 'quadmix')


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Attributes:
        test: None without labels to test on.
        pixels: by label of the source and class.
        size, target_size: (width, height) that most images have.
        rotated: number of images that have an orientation tag.
    """

    source: LabelledFolder
    target: Target
    test: LabelledFolder | None
    classes: Classes
    pixels: np.ndarray
    size: tuple[int, int]
    target_size: tuple[int, int]
    rotated: int = 0


def choose_network(wanted: str | None) -> tuple[str, str | None]:
    """Name of the network, and a warning if it is not the one that fits best; ConnectionError or OSError if the weights
    of the wanted one cannot be fetched."""
    if wanted is not None:
        fetch(NETWORKS[wanted])
        return wanted, None
    free = torch.cuda.mem_get_info()[0] / 2**30 if torch.cuda.is_available() else 0
    reasons = []
    for name, network in NETWORKS.items():
        if network.memory is not None and free < network.memory:
            continue
        try:
            fetch(network)
        except (OSError, ValueError) as error:
            reasons.append(f'{name}: {str(error).splitlines()[0][:160]}')
            continue
        costs = (
            f'{name} starts from random weights, because those of better networks cannot be fetched. Expect clearly '
            'lower scores than with ImageNet weights. Set UDASS_WEIGHTS to a file of weights of '
            f'tf_efficientnet_lite0, or connect to the internet ({"; ".join(reasons)})'
        )
        return name, costs if reasons else None
    raise AssertionError('the last network needs neither memory nor weights')


def fetch(network: Network) -> None:
    """Fetch the weights that a network starts from, unless they are there; errors as of `choose_network`."""
    if network.weights is None:
        return
    own = os.environ.get('UDASS_WEIGHTS')
    named = network.weights if network.weights.startswith('https:') or not own else own
    print(f'Start weights: {named}', flush=True)
    if network.weights.startswith('https:'):
        local_file(network.weights)
    elif own:
        # The config of this network reads the same variable.
        local_file(own)
    else:
        fetch_weights(network.weights)


def crop_of(network: Network, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the crops from images of ``size`` (width, height), in multiples of 8 pixels."""
    short, long = min(size), max(size)
    side = min(network.side, short, max(128, round(network.shrink * short)))
    side = max(side // 8 * 8, 8)
    other = max(side, int(min(network.ratio * side, long * side / short)) // 8 * 8)
    return (other, side) if size[0] >= size[1] else (side, other)


def rare_classes(data: Data) -> list[str]:
    """Classes that have less than a quarter of an equal share of the pixels, and enough in an image to be pasted."""
    shares = data.pixels.sum(0) / data.pixels.sum()
    enough = (data.pixels > _MIN_PIXELS).any(0)
    return [
        name
        for name, share, found in zip(data.classes.names, shares, enough, strict=True)
        if found and share < 0.25 / len(shares)
    ]


def config_text(
    data: Data, network: Network, method: str, iterations: int, seed: int, cache: Path, command: str
) -> str:
    """The config of a training; ``method`` is one of METHODS, or ``source_only``.

    Args:
        cache: folder for the counts of classes.
        command: that wrote it.
    """
    classes, (width, height) = data.classes, crop_of(network, data.size)
    rare = rare_classes(data) if method == 'quadmix' else []
    entries = [f'rare_classes=[dict(name=name, weight=1, min_pixels={_MIN_PIXELS}) for name in rare]'] * bool(rare)
    bases = ['models/' + network.base, 'uda/' + method, 'schedules/' + network.schedule]
    resize = "dict(type='ResizeToCover', scale=scale)"
    if network.resize is not None:
        resize = f"dict(type='RandomResize', resize_type='ResizeToCover', scale=scale, ratio_range={network.resize})"
    warmup = max(2, min(network.warmup, iterations // 10))
    lines = [
        f'# Written by: {command}',
        '# `udass train` with this file repeats the training. The base files are those of the installed package.',
        assign('_base_', [f'{CONFIGS}/_base_/{base}.py' for base in (network.runtime, network.loaders, *bases)]),
        assign('classes', classes.names),
        assign('palette', classes.palette),
        *[assign('rare', rare)] * bool(rare),
        'metainfo = dict(classes=classes, palette=palette)',
        '# The smallest size that a crop fits into, at the proportions of each image: width, height.',
        f'scale, crop_size = ({width}, {height}), ({height}, {width})',
        f'resize = {resize}',
        "augment = [dict(type='RandomFlip', prob=0.5), dict(type='PackUDAInputs')]",
        "crop = dict(type='RareClassCrop', crop_size=crop_size, cat_max_ratio=0.75)",
        "source_pipeline = [dict(type='LoadImage'), dict(type='LoadLabels'), resize, crop, *augment]",
        "target_pipeline = [dict(type='LoadImage'), resize, dict(crop, cat_max_ratio=1.0), *augment]",
        *labelled_dataset('source', data.source, classes, f'dict({", ".join(["**metainfo", *entries])})'),
        *target_dataset(data.target),
        'train_dataloader = dict(',
        '    source=dict(dataset=dict(**source, pipeline=source_pipeline)),',
        '    target=dict(dataset=dict(_delete_=True, **target, pipeline=target_pipeline)),',
        ')',
        *test_lines(data),
        f'max_iters = {iterations}',
        *method_lines(method, iterations, min(width, height), bool(rare), cache),
        'param_scheduler = [',
        f"    dict(type='LinearLR', start_factor={network.start_factor}, by_epoch=False, begin=0, end={warmup}),",
        "    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),",
        ']',
        f'randomness = dict(seed={seed})',
    ]
    return '\n'.join(lines) + '\n'


def assign(name: str, value: object) -> str:
    """An assignment in lines of at most 120 characters."""
    first, *rest = pformat(value, width=116 - len(name), compact=True).splitlines()
    return '\n'.join([f'{name} = {first}', *(f'{" " * (len(name) + 3)}{line}' for line in rest)])


def labelled_dataset(name: str, folder: LabelledFolder, classes: Classes, metainfo: str) -> list[str]:
    """The data set of a labelled folder, as an assignment."""
    identity = {number: number for number in (*range(len(classes.names)), IGNORE_INDEX)}
    lines = [
        f'{name} = dict(',
        f"    type='UDADataset', data_root={folder.root!r},",
        f'    image_folder={folder.image_folder!r}, label_folder={folder.label_folder!r},',
        f'    image_suffix={folder.image_suffix!r}, label_suffix={folder.label_suffix!r}, metainfo={metainfo},',
    ]
    if not classes.coloured and classes.table != identity:
        lines.append(f'    label_table={dict(sorted(classes.table.items()))},')
    return [*lines, ')']


def target_dataset(target: Target) -> list[str]:
    """The data set of the target, as an assignment."""
    kind = f"type='ImageFolder', data_root={target.path!r}"
    if target.every is not None:
        kind = f"type='VideoFile', path={target.path!r}, every={target.every}"
    return [f'target = dict({kind}, metainfo=metainfo)']


def test_lines(data: Data) -> list[str]:
    """The loaders of validation and test."""
    if data.test is None:
        return [
            '# There are no labels to validate on; `udass infer` takes the size of images from the test pipeline.',
            'val_dataloader = val_cfg = val_evaluator = None',
            "cover = dict(type='ResizeToCover', scale=scale)",
            "test_pipeline = [dict(type='LoadImage'), cover, dict(type='PackUDAInputs')]",
            'test_dataloader = dict(dataset=dict(**target, pipeline=test_pipeline))',
        ]
    return [
        *labelled_dataset('test', data.test, data.classes, 'metainfo'),
        "cover = dict(type='ResizeToCover', scale=scale)",
        '# Predictions are compared at the size of the labels.',
        "test_pipeline = [dict(type='LoadImage'), cover, dict(type='LoadLabels'), dict(type='PackUDAInputs')]",
        'val_dataloader = dict(dataset=dict(**test, pipeline=test_pipeline))',
        'test_dataloader = val_dataloader',
    ]


def method_lines(method: str, iterations: int, side: int, with_rare: bool, cache: Path) -> list[str]:
    """Model and loop, with what follows from short runs, small images, and classes of which nothing is known."""
    short = iterations <= _SHORT
    model, loop = [], []
    if method != 'source_only' and short:
        model.append('    ema=dict(alpha=0.99),  # The published 0.999 remembers more than so short a run has.')
    if method in ('daformer', 'mic', 'quadmix'):
        model.append('    feature_distance=None,  # It is not known which of the classes are things.')
        loop.append(
            f'    source_sampling=dict(reference_size=(1914, 1052), crop_fraction=0.5, cache_folder={str(cache)!r}),'
        )
    if method == 'quadmix':
        start = 0 if short else iterations * _PUBLISHED_START // _PUBLISHED_LENGTH
        model.append(f'    mixing=dict(start_iter={start}),')
        loop.append(f'    long_tail=dict(cache_folder={str(cache)!r}),' if with_rare else '    long_tail=None,')
    if method == 'quadmix' and short:
        model += ['    masking=None,  # A fourth pass takes a third more time, which so short a run does not pay back.']
    elif method in ('mic', 'quadmix'):
        model.append(f'    masking=dict(block_size={max(1, side // 16)}),')
    return [
        'model = dict(',
        '    student={{_base_.segmentor}}, num_classes=len(classes),',
        *model,
        ')',
        'train_cfg = dict(',
        '    max_iters=max_iters, val_interval=max_iters,',
        *loop,
        ')',
    ]


class Step(NamedTuple):
    """What a training step takes: seconds, and GiB of memory of the GPU (0 without one)."""

    seconds: float
    memory: float


def measure(config: Path) -> Step:
    """Measure a few training steps with random weights on this machine."""
    settings = load_config(config)
    with TemporaryDirectory() as folder:
        preview = Preview(settings, Path(folder), passes=False)
        wrapper = preview.runner.build_optim_wrapper(preview.runner.optim_wrapper)
        ends = []
        # The first ones allocate memory, and QuadMix mixes fully from the second on.
        for batch in preview.batches(5):
            preview.model.train_step(batch, wrapper)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0
    return Step((ends[-1] - ends[1]) / 3, memory)


def plan_text(
    data: Data, name: str, warning: str | None, method: str, iterations: int, steps: Mapping[str, Step], out: Path
) -> str:
    """The plan for people; ``steps`` are the measured ones of each training."""
    shares = 100 * data.pixels.sum(0) / data.pixels.sum()
    classes, target, target_size = data.classes, data.target, map(str, data.target_size)
    rows = [f'{label} {share:.1f}' for label, share in zip(classes.names, shares, strict=True)]
    unseen = [label for label, share in zip(classes.names, shares, strict=True) if share == 0]
    (width, height), crop = data.size, crop_of(NETWORKS[name], data.size)
    kind = 'images without labels' if target.every is None else 'frames without labels'
    spacing = f', one of {target.every},' if (target.every or 1) > 1 else ','
    methods = [{'source_only': 'source only', 'adapted': method}[part] for part in steps]
    times = ', '.join(f'{part} {_minutes(step.seconds * iterations)}' for part, step in steps.items())
    needed = max(step.memory for step in steps.values())
    memory = f'; {needed:.1f} GiB of the GPU' if needed else ''
    parts = {
        'source': f'{data.source.root}: {len(data.source.names)} labelled images, most of {width}x{height}',
        'target': f'{target.path}: {len(target.paths)} {kind}{spacing} most of {"x".join(target_size)}',
        'test': 'none (--test FOLDER takes labelled images)'
        if data.test is None
        else f'{data.test.root}: {len(data.test.names)} labelled images',
        'classes': f'{len(classes.names)}, {classes.origin}',
        '': f'percent of the labelled pixels: {", ".join(rows)}',
        'network': f'{name}, two crops of {crop[0]}x{crop[1]} of each domain, images resized to cover that',
        'training': f'{iterations} iterations{" each" * (len(steps) > 1)} of {" and ".join(methods)}',
        'time': f'about {times} on this machine, from a few steps (without start and validation){memory}',
        'results': str(out),
    }
    warnings = [f'no label shows {", ".join(unseen)}: nothing can be learnt of it'] * bool(unseen)
    warnings += [warning] * (warning is not None)
    warnings += [
        f'{data.rotated} images have an orientation tag (EXIF), by which viewers turn them and training does not. Turn '
        'their pixels and remove the tags, for example with `mogrify -auto-orient`, and give the images again'
    ] * bool(data.rotated)
    lines = [f'{title:<9} {text}' for title, text in parts.items()]
    return '\n'.join(lines + [f'WARNING   {text}' for text in warnings])


def _minutes(seconds: float) -> str:
    return f'{seconds / 3600:.1f} hours' if seconds > 5400 else f'{max(1, round(seconds / 60))} min'
