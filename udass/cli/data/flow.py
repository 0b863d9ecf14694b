"""Compute the optical flow that clips need before training, and measure its quality on labelled clips.

docs/optical_flow.md describes estimators, files, cache and results.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from prettytable import PrettyTable
from torch import Tensor
from tqdm import tqdm

from udass.cli import UsageError, write_json
from udass.cli.data.check import LOADERS, dataset_configs
from udass.datasets import ClipDataset
from udass.datasets.transforms.geometry import resize_flow_map
from udass.engine.config import load_config
from udass.evaluation.flow_quality import EndPointError, WarpAgreement
from udass.flow import (
    DISFlow,
    FillReport,
    FlowCache,
    FlowRequest,
    PrecomputedFlow,
    RAFTFlow,
    consistent,
    fill,
    numbered_pairs,
)

Size = tuple[int, int]


def cache_of(dataset: object, where: str) -> tuple[FlowCache, Size] | None:
    """The cache of a data set (that of the ``LoadFlow`` in its pipeline) and the (height, width) of its flow, which is
    that of the first sample there; None if it reads no flow of files."""
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
    config = _read_config(args).to_dict()
    requests = []
    for loader in LOADERS:
        for where, node in dataset_configs(config.get(loader), loader, lambda kind: hasattr(kind, 'flow_pairs')):
            dataset = DATASETS.build(dict(node))
            found = cache_of(dataset, where)
            pairs = [] if found is None else dataset.flow_pairs()
            source = 'loads no flow' if found is None else f'{len(pairs)} pairs of frames'
            print(f'{where.removesuffix(".dataset")}: {type(dataset).__name__}, {source}')
            requests += [FlowRequest(found[0], current, other, found[1]) for current, other in pairs]
    if not requests:
        raise ValueError(f'no data set of {args.config} has clips whose flow is loaded: give a config for video')
    return requests


def requests_of_folder(args: argparse.Namespace) -> list[FlowRequest]:
    """All flows between the frames of a folder."""
    is_dis = args.estimator == 'dis'
    estimator = DISFlow() if is_dis else RAFTFlow(args.estimator.removeprefix('raft_'), args.checkpoint)
    cache = FlowCache(args.cache, estimator, root=args.root)
    pairs = numbered_pairs(args.frames, args.steps)
    print(f'{args.frames}: {len(pairs)} pairs of frames')
    return [FlowRequest(cache, *pair, None if args.size is None else tuple(args.size)) for pair in pairs]


def run(args: argparse.Namespace) -> FillReport | None:
    """Measure flow, or compute what the caches lack; ends with status 1 if there were problems."""
    if args.measure:
        if args.config is None:
            raise UsageError('--measure needs a config: it uses the labelled test clips')
        run_measure(args)
        return None
    if (args.config is None) == (args.frames is None):
        raise UsageError('give a config or --frames FOLDER (one of them)')
    if args.checkpoint is not None and args.estimator == 'dis':
        raise UsageError('--checkpoint is for --estimator raft_small or raft_large; DIS has no weights')

    def bar(jobs: Iterable, total: int) -> tqdm:
        return tqdm(jobs, 'flow', total, unit='pair', disable=total == 0)

    requests = requests_of_config(args) if args.frames is None else requests_of_folder(args)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    began = time.monotonic()
    try:
        report = fill(requests, args.workers or cores, bar)
    except KeyboardInterrupt:
        print('\nWhat was computed is in the cache; the same command goes on from here.')
        raise
    print(''.join(f'  {problem}\n' for problem in report.problems), end='')
    caches = [request.cache for request in requests]
    folders = {str(cache.folder or cache.estimator.folder or 'beside the frames') for cache in caches}
    seconds = time.monotonic() - began
    print(f'{report.computed} computed in {seconds:.0f} s, {report.present} were there: {", ".join(sorted(folders))}')
    if report.problems:
        sys.exit(1)
    return report


def _read_config(args: argparse.Namespace) -> Config:
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    return config


def labelled_clips(config: Config) -> tuple[ClipDataset, FlowCache, Size]:
    """The test clips with all frames and labels at full size, the cache of their flow, and the size of the inputs;
    ValueError if there are no labelled clips, or no flow is loaded."""
    dataset = DATASETS.build(config.test_dataloader.dataset)
    if not isinstance(dataset, ClipDataset) or not dataset.labelled or not dataset.LABELS_OF_ALL_FRAMES:
        raise ValueError(
            f'the test data ({type(dataset).__name__}) have no clips with a label for every frame, which are needed to '
            'measure flow: give a config that tests on such clips, for example camvid_video_fusion'
        )
    caches = [transform.cache for transform in dataset.pipeline.transforms if getattr(transform, 'cache', None)]
    if not caches:
        raise ValueError(
            'the pipeline of the test data has no LoadFlow with a cache: add one, or give a config for video'
        )
    cache = FlowCache(estimator=caches[0]) if isinstance(caches[0], PrecomputedFlow) else caches[0]
    pipeline = [dict(type='LoadClip'), dict(type='LoadClipLabels'), dict(type='PackClip')]
    clips = DATASETS.build({**config.test_dataloader.dataset, 'pipeline': pipeline})
    return clips, cache, tuple(dataset[0]['inputs'].shape[-2:])


def flow_at(cache: FlowCache, current: str, other: str, size: Size, full: Size) -> Tensor:
    """Flow (2, H, W) computed at one size, at the full size (H, W)."""
    return torch.from_numpy(resize_flow_map(cache(current, other, size), full)).permute(2, 0, 1)


def visible_in_both(cache: FlowCache, current: str, other: str, size: Size, full: Size) -> Tensor:
    """(H, W) bool: where the other frame shows the same, by the flow there and back or as the flow files say."""
    if not cache.computes:
        return torch.from_numpy(cache.visible(current, other, full))
    there, back = flow_at(cache, current, other, size, full), flow_at(cache, other, current, size, full)
    return consistent(there[None], back[None])[0, 0]


def measure(clips: ClipDataset, cache: FlowCache, sizes: list[Size], exact: FlowCache | None) -> dict:
    """Scores per size and kind of flow, see ``WarpAgreement`` and ``EndPointError``; a first frame has no pair."""
    names = ('zero', 'flow') if exact is None else ('zero', 'flow', 'exact')
    meters = {size: {name: WarpAgreement(clips.metainfo['classes']) for name in names} for size in sizes}
    errors = {size: EndPointError() for size in sizes}
    pairs = 0
    for sample in tqdm((clips[index] for index in range(len(clips))), 'clips', len(clips)):
        pair = sample['data_samples'].frame_paths[:2]
        if pair[0] == pair[1]:
            continue
        pairs += 1
        frames, labels = sample['inputs'][:2], sample['data_samples'].gt_sem_seg.data[:2]
        full = tuple(labels.shape[1:])
        for size in sizes:
            flow = flow_at(cache, *pair, size, full)
            visible = visible_in_both(cache, *pair, size, full)
            regions = {'all': torch.ones(full, dtype=torch.bool), 'consistent': visible}
            flows = {'zero': torch.zeros_like(flow), 'flow': flow}
            if exact is not None:
                regions['visible'] = visible_in_both(exact, *pair, full, full)
                flows['exact'] = flow_at(exact, *pair, full, full)
                errors[size].add(flow, flows['exact'], regions['visible'])
            for name, value in flows.items():
                meters[size][name].add(frames, labels, value, regions)
    scores = {}
    for size in sizes:
        scores[f'{size[1]}x{size[0]}'] = row = {name: meter.scores() for name, meter in meters[size].items()}
        if exact is not None:
            row['end_point_error'] = errors[size].scores()
    return {'pairs': pairs, 'sizes': scores}


def to_text(result: Mapping) -> str:
    """The result of measuring as a table."""
    table = PrettyTable(['flow at', 'warped by', 'pixels of t', 'share', 'equal labels', 'mIoU', 'grey levels'])
    table.align = 'r'
    lines = []
    for size, kinds in result['sizes'].items():
        for kind, regions in kinds.items():
            if kind == 'end_point_error':
                lines.append(
                    f'end-point error at {size}, in pixels: mean {regions["mean"]:.2f}, median '
                    f'{regions["median"]:.2f}, of a motion of {regions["motion"]:.2f}; above 3 pixels: '
                    f'{regions["outliers"]:.1f} %'
                )
                continue
            for region, scores in regions.items():
                numbers = (f'{scores[name]:.2f}' for name in ('share', 'pixels', 'mIoU', 'grey'))
                table.add_row([size, kind, region, *numbers])
    units = f'{result["pairs"]} pairs of frames; shares, labels and mIoU in percent, grey levels of 255'
    return '\n'.join([table.get_string(), *lines, units])


def run_measure(args: argparse.Namespace) -> None:
    """Measure the flow of the test clips of a config."""
    clips, cache, size = labelled_clips(_read_config(args))
    if args.exact and cache.computes:
        raise ValueError(
            f'--exact needs a config that reads exact flow from files, but {args.config} estimates it '
            f'({type(cache.estimator).__name__}): leave --exact out, or give a config of the streets as video'
        )
    exact, measured = (cache, FlowCache(estimator=DISFlow())) if args.exact else (None, cache)
    full = tuple(clips[0]['data_samples'].gt_sem_seg.shape[-2:])
    scores = measure(clips, measured, list(dict.fromkeys((full, size))), exact)
    result = {'config': args.config, 'flow': measured.estimator.key, **scores}
    print(to_text(result))
    if args.json is not None:
        write_json(args.json, result)
