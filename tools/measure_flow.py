"""Measures optical flow on the labelled clips of a config: is frame t-1, warped by it, what frame t shows?

    python tools/measure_flow.py configs/camvid_video_fusion.py --json docs/results/flow/camvid_video.json
    python tools/measure_flow.py configs/streets_video_oracle.py --exact --json docs/results/flow/streets_video.json

The flow is that of the test data (`LoadFlow`), estimated at the size of the frames and at that of the network's inputs,
beside no motion at all. With --exact the flow files of the config are taken as the truth, and DIS is measured against
them.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from prettytable import PrettyTable
from torch import Tensor
from tqdm import tqdm

from udass.cli.command import run_command
from udass.datasets import ClipDataset
from udass.datasets.transforms.geometry import resize_flow_map
from udass.engine.config import load_config
from udass.evaluation.flow_quality import EndPointError, WarpAgreement
from udass.flow import DISFlow, FlowCache, PrecomputedFlow, consistent
from udass.io.writing import write_text

Size = tuple[int, int]


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure the optical flow of the labelled test clips of a config.',
        epilog='example: python tools/measure_flow.py configs/camvid_video_fusion.py',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--exact',
        action='store_true',
        help='take the flow files of the config as the truth and measure DIS against them',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--json', metavar='FILE', help='write the result to this file as well')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def build_clips(config: Config) -> tuple[ClipDataset, FlowCache, Size]:
    """The test clips with all frames and labels at full size, the cache of their flow, and the size of the inputs.

    Raises:
        ValueError: there are no labelled clips, or no flow is loaded.
    """
    dataset = DATASETS.build(config.test_dataloader.dataset)
    if not isinstance(dataset, ClipDataset) or not dataset.labelled or not dataset.LABELS_OF_ALL_FRAMES:
        raise ValueError(
            f'the test data ({type(dataset).__name__}) have no clips with a label for every frame, which '
            'are needed to measure flow'
        )
    caches = [transform.cache for transform in dataset.pipeline.transforms if getattr(transform, 'cache', None)]
    if not caches:
        raise ValueError('no LoadFlow with a cache is in the pipeline of the test data: there is no flow to measure')
    cache = FlowCache(estimator=caches[0]) if isinstance(caches[0], PrecomputedFlow) else caches[0]
    clips = DATASETS.build(
        {
            **config.test_dataloader.dataset,
            'pipeline': [dict(type='LoadClip'), dict(type='LoadClipLabels'), dict(type='PackClip')],
        }
    )
    return clips, cache, tuple(dataset[0]['inputs'].shape[-2:])


def flow_at(cache: FlowCache, current: str, other: str, size: Size, full: Size) -> Tensor:
    """Flow (2, H, W) computed at one size, at the full size (H, W)."""
    return torch.from_numpy(resize_flow_map(cache(current, other, size), full)).permute(2, 0, 1)


def seen_in_both(cache: FlowCache, current: str, other: str, size: Size, full: Size) -> Tensor:
    """(H, W) bool: where the flow of the cache leads to what is the same, by going back or as its files say."""
    if not cache.computes:
        return torch.from_numpy(cache.visible(current, other, full))
    there, back = flow_at(cache, current, other, size, full), flow_at(cache, other, current, size, full)
    return consistent(there[None], back[None])[0, 0]


def measure(clips: ClipDataset, cache: FlowCache, sizes: list[Size], exact: FlowCache | None) -> dict:
    """Scores per size and kind of flow, see ``WarpAgreement`` and ``EndPointError``; a first frame has no pair."""
    names = ('zero', 'flow') if exact is None else ('zero', 'flow', 'exact')
    kinds = {size: {name: WarpAgreement(clips.metainfo['classes']) for name in names} for size in sizes}
    errors = {size: EndPointError() for size in sizes}
    pairs = 0
    for index in tqdm(range(len(clips)), desc='clips'):
        sample = clips[index]
        current, previous = sample['data_samples'].frame_paths[:2]
        if current == previous:
            continue
        pairs += 1
        frames, labels = sample['inputs'][:2], sample['data_samples'].gt_sem_seg.data[:2]
        full = tuple(labels.shape[1:])
        truth = None if exact is None else flow_at(exact, current, previous, full, full)
        visible = None if exact is None else seen_in_both(exact, current, previous, full, full)
        for size in sizes:
            flow = flow_at(cache, current, previous, size, full)
            regions = {
                'all': torch.ones(full, dtype=torch.bool),
                'consistent': seen_in_both(cache, current, previous, size, full),
            }
            flows = {'zero': torch.zeros_like(flow), 'flow': flow}
            if exact is not None:
                regions['visible'], flows['exact'] = visible, truth
                errors[size].add(flow, truth, visible)
            for name, value in flows.items():
                kinds[size][name].add(frames, labels, value, regions)
    return {
        'pairs': pairs,
        'sizes': {
            f'{size[1]}x{size[0]}': {
                **{name: meter.scores() for name, meter in kinds[size].items()},
                **({} if exact is None else {'end_point_error': errors[size].scores()}),
            }
            for size in sizes
        },
    }


def to_text(result: Mapping) -> str:
    """The result as a table."""
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
                table.add_row(
                    [size, kind, region, *(f'{scores[name]:.2f}' for name in ('share', 'pixels', 'mIoU', 'grey'))]
                )
    return '\n'.join(
        [
            table.get_string(),
            *lines,
            f'{result["pairs"]} pairs of frames; shares, labels and mIoU in percent, grey levels of 255',
        ]
    )


def run(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    clips, cache, size = build_clips(config)
    if args.exact and cache.computes:
        raise ValueError(
            f'--exact needs a config that reads exact flow from files, but {args.config} estimates it '
            f'({type(cache.estimator).__name__})'
        )
    exact, measured = (cache, FlowCache(estimator=DISFlow())) if args.exact else (None, cache)
    full = tuple(clips[0]['data_samples'].gt_sem_seg.shape[-2:])
    result = {
        'config': args.config,
        'flow': measured.estimator.key,
        **measure(clips, measured, list(dict.fromkeys((full, size))), exact),
    }
    print(to_text(result))
    if args.json is not None:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_text(Path(args.json), json.dumps(result, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: run(args))


if __name__ == '__main__':
    main()
