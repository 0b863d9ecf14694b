"""Computes the optical flow that the clips of a config, or a folder of frames, need, before training.

    python tools/compute_flow.py CONFIG --workers 8
    python tools/compute_flow.py --frames data/video/images --size 512 1024 --cache data/flow

Loaders compute the flow that the cache lacks, so that this is not needed; but it is needed once only. It can be stopped
at any time (Ctrl-C) and goes on where it was. docs/optical_flow.md describes estimators, files and cache.

In a config it fills the caches of the data sets that have a method ``flow_pairs()``, which lists the paths (current
frame, other frame) of all flows that they need. The cache is the attribute ``cache`` of a transform in their pipeline
(``LoadFlow``), and the size of the flow that of the ``img`` which the transforms before it make of the first sample.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from tqdm import tqdm

from udass.cli.command import run_command
from udass.engine.config import load_config
from udass.flow import DISFlow, FillReport, FlowCache, FlowRequest, PrecomputedFlow, RAFTFlow, fill, numbered_pairs

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_ESTIMATORS = ('dis', 'raft_small', 'raft_large')


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Compute the optical flow that the clips of a config, or a folder of frames, need in training.',
        epilog='example: python tools/compute_flow.py CONFIG --workers 8',
    )
    parser.add_argument('config', nargs='?', help='config file; it says where flow is kept and how it is estimated')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--workers', type=int, default=None, help='threads (default: one per core)')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    frames = parser.add_argument_group('instead of a config')
    frames.add_argument('--frames', metavar='FOLDER', help='numbered frames of one or more sequences')
    frames.add_argument('--cache', metavar='FOLDER', default='data/flow', help='folder to fill (default: %(default)s)')
    frames.add_argument(
        '--root',
        metavar='FOLDER',
        help="paths in the cache count from here, as with a config's data_root (default: absolute)",
    )
    frames.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='pixels (default: those of the frames)')
    frames.add_argument(
        '--steps', type=int, nargs='+', default=[1], metavar='K', help='flow to the frames so many before (default: 1)'
    )
    frames.add_argument('--estimator', choices=_ESTIMATORS, default='dis', help='default: %(default)s')
    frames.add_argument('--checkpoint', metavar='FILE', help="RAFT's weights (default: torchvision's, fetched once)")
    args = parser.parse_args(arguments)
    if (args.config is None) == (args.frames is None):
        parser.error('give a config or --frames FOLDER (one of them)')
    if args.checkpoint is not None and args.estimator == 'dis':
        parser.error('--checkpoint is for --estimator raft_small or raft_large; DIS has no weights')
    return args


def clip_configs(node: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """The configs of data sets that need flow below ``node``, with their dotted path."""
    if isinstance(node, Mapping):
        kind = DATASETS.get(node['type']) if isinstance(node.get('type'), str) else node.get('type')
        if hasattr(kind, 'flow_pairs'):
            yield path, node
            return
        for key, value in node.items():
            yield from clip_configs(value, f'{path}.{key}')
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from clip_configs(value, f'{path}.{number}')


def cache_of(dataset: object, where: str) -> tuple[FlowCache, tuple[int, int]] | None:
    """The cache of a data set and the (height, width) of its flow; None if it reads no flow of files."""
    transforms = dataset.pipeline.transforms
    for place, transform in enumerate(transforms):
        cache = getattr(transform, 'cache', None)
        if isinstance(cache, PrecomputedFlow):
            cache = FlowCache(estimator=cache)
        if isinstance(cache, FlowCache):
            if cache.computes and cache.folder is None:
                raise ValueError(
                    f'{where}: the flow is computed in every epoch, because its FlowCache has no folder; set its folder'
                )
            results = dataset.get_data_info(0)
            for before in transforms[:place]:
                results = before(results)
            return cache, results['img'].shape[:2]
    return None


def requests_of_config(args: argparse.Namespace) -> list[FlowRequest]:
    """All flows that the data sets of a config need."""
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    requests = []
    for loader in _LOADERS:
        for where, node in clip_configs(config.to_dict().get(loader), loader):
            dataset = DATASETS.build(dict(node))
            found = cache_of(dataset, where)
            pairs = [] if found is None else dataset.flow_pairs()
            source = 'loads no flow' if found is None else f'{len(pairs)} pairs of frames'
            print(f'{where.removesuffix(".dataset")}: {type(dataset).__name__}, {source}')
            requests += [FlowRequest(found[0], current, other, found[1]) for current, other in pairs]
    if not requests:
        raise ValueError(f'no data set of {args.config} needs flow: none has clips (flow_pairs) whose flow is loaded')
    return requests


def requests_of_folder(args: argparse.Namespace) -> list[FlowRequest]:
    """All flows between the frames of a folder."""
    estimator = (
        DISFlow() if args.estimator == 'dis' else RAFTFlow(args.estimator.removeprefix('raft_'), args.checkpoint)
    )
    cache = FlowCache(args.cache, estimator, root=args.root)
    size = None if args.size is None else tuple(args.size)
    pairs = numbered_pairs(args.frames, args.steps)
    print(f'{args.frames}: {len(pairs)} pairs of frames')
    return [FlowRequest(cache, current, other, size) for current, other in pairs]


def compute(args: argparse.Namespace) -> FillReport:
    requests = requests_of_config(args) if args.frames is None else requests_of_folder(args)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    began = time.monotonic()
    try:
        report = fill(
            requests,
            args.workers or cores,
            lambda jobs, total: tqdm(jobs, total=total, desc='flow', unit='pair', disable=total == 0),
        )
    except KeyboardInterrupt:
        print('\nWhat was computed is kept; the same command goes on from here.')
        raise
    for problem in report.problems:
        print(f'  {problem}')
    print(
        f'{report.computed} computed in {time.monotonic() - began:.0f} s, {report.present} were there: '
        + ', '.join(
            sorted(
                {
                    str(request.cache.folder or request.cache.estimator.folder or 'beside the frames')
                    for request in requests
                }
            )
        )
    )
    if report.problems:
        sys.exit(1)
    return report


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: compute(args))


if __name__ == '__main__':
    main()
