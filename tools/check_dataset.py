"""Reads every file of the data sets of a config and reports what is missing, damaged or does not fit.

    python tools/check_dataset.py configs/gta2cs_quadmix.py

The pipelines of the config are run on an image of every size that there is. Ends with status 1 if there are problems.
The counted classes are kept for rare-class sampling.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from prettytable import PrettyTable

from udass.cli.command import run_command
from udass.datasets import Report, UDADataset, check_dataset
from udass.datasets.checking import check_pipeline
from udass.engine.config import load_config

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# What does not change which files a data set has.
_NOT_FILES = ('pipeline', 'test_mode', 'metainfo', 'indices', 'lazy_init')


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Read every file of the data sets of a config and report problems.',
        epilog='example: python tools/check_dataset.py configs/gta2cs_quadmix.py',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--max-problems', type=int, default=20, help='problems to list per data set (default: 20)')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def dataset_configs(node: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """The configs of data sets with files below ``node``, with their dotted path."""
    if isinstance(node, Mapping):
        kind = DATASETS.get(node['type']) if isinstance(node.get('type'), str) else None
        if isinstance(kind, type) and issubclass(kind, UDADataset):
            yield path, node
            return
        for key, value in node.items():
            yield from dataset_configs(value, f'{path}.{key}')
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from dataset_configs(value, f'{path}.{number}')


def different_datasets(config: Mapping) -> list[dict[str, Mapping]]:
    """The data sets of a config: for each, name of where it is used -> its config there. Those that differ in nothing
    but how their files are used are one."""
    found: dict[str, dict[str, Mapping]] = {}
    for loader in _LOADERS:
        for path, node in dataset_configs(config.get(loader), loader):
            key = repr(sorted((name, value) for name, value in node.items() if name not in _NOT_FILES))
            found.setdefault(key, {})[path.removesuffix('.dataset')] = node
    if not found:
        raise ValueError('the config has no data set of files (UDADataset) to check')
    return list(found.values())


def report_text(report: Report, classes: Sequence[str], max_problems: int) -> str:
    """The report of one data set."""
    sizes = ', '.join(f'{width}x{height} ({count})' for (width, height), count in report.sizes.most_common(5))
    more = len(report.sizes) - 5
    lines = [f'{report.images} images: {sizes or "none readable"}' + (f' and {more} other sizes' if more > 0 else '')]
    if report.pixels is not None and report.pixels.sum() > 0:
        table = PrettyTable(['class', '% of labelled pixels', 'files'], align='r')
        table.align['class'] = 'l'
        for name, pixels, files in zip(classes, report.pixels, report.files, strict=True):
            table.add_row([name, f'{100 * pixels / report.pixels.sum():.3f}', files])
        everything = report.pixels.sum() + report.ignored
        lines += [table.get_string(), f'{100 * report.ignored / everything:.2f} % of all pixels have no class']
    lines += [f'  warning: {warning}' for warning in report.warnings]
    lines += [f'  {problem}' for problem in report.problems[:max_problems]]
    hidden = len(report.problems) - max_problems
    if hidden > 0:
        lines.append(f'  ... and {hidden} more')
    lines.append(f'{len(report.problems)} problems' if report.problems else 'no problems')
    return '\n'.join(lines)


def check(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    problems = 0
    for uses in different_datasets(config.to_dict()):
        dataset = DATASETS.build({**next(iter(uses.values())), 'lazy_init': True})
        report = check_dataset(dataset)
        report = replace(report, problems=report.problems + tuple(pipeline_problems(uses, report)))
        problems += len(report.problems)
        print(f'{", ".join(uses)}: {type(dataset).__name__} in {dataset.data_root}')
        print(report_text(report, dataset.metainfo['classes'], args.max_problems), end='\n\n')
    if problems:
        sys.exit(1)


def pipeline_problems(uses: Mapping[str, Mapping], report: Report) -> Iterator[str]:
    """What fails in the different pipelines that use one data set."""
    if not report.examples:
        return
    pipelines: dict[str, list[str]] = {}
    for name, node in uses.items():
        pipelines.setdefault(repr(node.get('pipeline')), []).append(name)
    for names in pipelines.values():
        dataset = DATASETS.build({**uses[names[0]], 'lazy_init': True})
        if dataset.pipeline.transforms:
            trains = any(name.startswith('train_dataloader') for name in names)
            yield from (
                f'{", ".join(names)}: {problem}'
                for problem in check_pipeline(dataset, report.examples, one_size=trains)
            )


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: check(args))


if __name__ == '__main__':
    main()
