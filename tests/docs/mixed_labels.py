"""What the labels of mixed images teach: ``python -m tests.docs.mixed_labels CHECKPOINT [--batches N]``.

Mixes training batches of streets2camvid by ClassMix and by QuadMix, with pseudo-labels of the teacher in a checkpoint,
and compares the mixed labels with the true ones, which no training reads. Writes docs/results/mixed_labels.json.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from torch import Tensor

from udass.cli import write_json
from udass.cli.experiments.experiment import code_version
from udass.engine.config import load_config
from udass.uda.clip import Clip, Pass
from udass.uda.networks import unwrap

RESULT = Path(__file__).parents[2] / 'docs' / 'results' / 'mixed_labels.json'
CONFIG, CLASS = 'streets2camvid_quadmix', 'sidewalk'
SOURCE, TARGET = range(2)


def build_runner(checkpoint: Path, start_iter: int) -> Runner:
    """A training that begins at the checkpoint, whose target images have their labels."""
    config = load_config(CONFIG, {'model.mixing.start_iter': start_iter, 'load_from': str(checkpoint)})
    target = config.train_dataloader.target.dataset
    target.labelled = True
    target.pipeline.insert(1, {'type': 'LoadLabels'})
    config.custom_hooks, config.log_level, config.work_dir = [], 'ERROR', 'work_dirs/mixed_labels'
    config.randomness = {'seed': 0}
    runner = RUNNERS.build(config)
    runner.train_loop  # noqa: B018 - builds the loaders
    runner.load_or_resume()
    unwrap(runner.model).train()
    return runner


def with_maps(clip: Clip, truth: Tensor, domain: int) -> Clip:
    """The clip with true labels (N, T, H, W) and the domain as the colours of its pixels, to be mixed with them."""
    return replace(clip, frames=torch.stack([truth, torch.full_like(truth, domain), truth], dim=2).float())


def mixed_passes(runner: Runner, batches: int) -> Iterator[Pass]:
    """The mixed passes of some batches, with true labels and domains for colours."""
    model = unwrap(runner.model)
    model.photometric = None
    for number, data in enumerate(islice(runner.train_dataloader, batches)):
        source, target = model.labelled_clip(data['source']), model.pseudo_labelled_clip(data['target'])
        long_tail = None
        if 'long_tail' in data:
            long_tail = model.long_tail(data['long_tail'], len(source))
            clips = [[with_maps(clip, clip.labels, SOURCE) for clip in draw] for draw in long_tail.clips]
            long_tail = replace(long_tail, clips=clips)
        source = with_maps(source, source.labels, SOURCE)
        target = with_maps(target, torch.stack([one.gt_sem_seg.data for one in data['target']['data_samples']]), TARGET)
        # The first batch has no templates yet.
        model.iteration = number
        mixed = list(model.mixed_passes(source, target, long_tail, target))
        if number > 0:
            yield from mixed


def compare(passes: Iterator[Pass], classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """By pass: parts of the weight that its pixels have in the loss, in [0, 1]. Pixels without a true label are left
    out."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    chosen = classes.index(CLASS)
    for item in passes:
        truth, domain = (item.clip.frames[:, :, channel].long() for channel in range(2))
        weights = item.clip.weights * item.scale * (truth < len(classes)) * (item.clip.labels < len(classes))
        right = truth == item.clip.labels
        parts = {
            'all': weights,
            'target': weights * (domain == TARGET),
            'target, right': weights * (domain == TARGET) * right,
            f'target, {CLASS}': weights * (domain == TARGET) * (truth == chosen),
            f'target, {CLASS}, right': weights * (domain == TARGET) * (truth == chosen) * right,
            f'source, {CLASS}': weights * (domain == SOURCE) * (truth == chosen),
        }
        for name, part in parts.items():
            sums[item.name][name] += float(part.sum())
    return {
        name: {key: round(value / found['all'], 5) for key, value in found.items() if key != 'all'}
        for name, found in sums.items()
    }


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--batches', type=int, default=100)
    args = parser.parse_args()
    about = {'config': CONFIG, 'checkpoint': args.checkpoint.name, 'batches': args.batches, 'code': code_version()}
    passes = {}
    # ClassMix until start_iter.
    for start_iter in (args.batches, 0):
        runner = build_runner(args.checkpoint, start_iter)
        with torch.no_grad():
            passes |= compare(mixed_passes(runner, args.batches), runner.train_dataloader.dataset.metainfo['classes'])
    write_json(RESULT, {**about, 'share of the weight in the loss': passes})
