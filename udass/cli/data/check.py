"""Read every file of the data sets of a config and report what is missing, damaged or does not fit."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from prettytable import PrettyTable

from udass.datasets import Report, UDADataset, check_dataset
from udass.datasets.base.checking import check_pipeline
from udass.engine.config import load_config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# What does not change which files a data set has.
_NOT_FILES = ('pipeline', 'test_mode', 'metainfo', 'indices', 'lazy_init')


def dataset_configs(node: object, path: str, wanted: Callable[[type], bool]) -> Iterator[tuple[str, Mapping]]:
    """The configs of the wanted data sets below ``node``, with their dotted path."""
    if isinstance(node, Mapping):
        kind = DATASETS.get(node['type']) if isinstance(node.get('type'), str) else node.get('type')
        if isinstance(kind, type) and wanted(kind):
            yield path, node
            return
        for key, value in node.items():
            yield from dataset_configs(value, f'{path}.{key}', wanted)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from dataset_configs(value, f'{path}.{number}', wanted)


def different_datasets(config: Mapping) -> list[dict[str, Mapping]]:
    """The data sets of a config, each with its config in every place that uses it; those that differ in nothing but how
    their files are used are one."""
    found: dict[str, dict[str, Mapping]] = {}
    for loader in LOADERS:
        for path, node in dataset_configs(config.get(loader), loader, lambda kind: issubclass(kind, UDADataset)):
            key = repr(sorted((name, value) for name, value in node.items() if name not in _NOT_FILES))
            found.setdefault(key, {})[path.removesuffix('.dataset')] = node
    if not found:
        raise ValueError('the config has no data set of files (UDADataset) to check')
    return list(found.values())


def report_text(report: Report, problems: Sequence[str], classes: Sequence[str], max_problems: int) -> str:
    """The report of one data set."""
    sizes = ', '.join(f'{width}x{height} ({count})' for (width, height), count in report.sizes.most_common(5))
    more = f' and {len(report.sizes) - 5} other sizes' if len(report.sizes) > 5 else ''
    lines = [f'{report.images} images: {sizes or "none readable"}{more}']
    if report.pixels is not None and report.pixels.sum() > 0:
        table = PrettyTable(['class', '% of labelled pixels', 'files'], align='r')
        table.align['class'] = 'l'
        for name, pixels, files in zip(classes, report.pixels, report.files, strict=True):
            table.add_row([name, f'{100 * pixels / report.pixels.sum():.3f}', files])
        everything = report.pixels.sum() + report.ignored
        lines += [table.get_string(), f'{100 * report.ignored / everything:.2f} % of all pixels have no class']
    lines += [f'  warning: {warning}' for warning in report.warnings]
    lines += [f'  {problem}' for problem in problems[:max_problems]]
    if len(problems) > max_problems:
        lines.append(f'  ... and {len(problems) - max_problems} more')
    lines.append(f'{len(problems)} problems' if problems else 'no problems')
    return '\n'.join(lines)


def pipeline_problems(uses: Mapping[str, Mapping], report: Report) -> Iterator[str]:
    """The errors of the different pipelines that use one data set."""
    if not report.examples:
        return
    pipelines: dict[str, list[str]] = {}
    for name, node in uses.items():
        pipelines.setdefault(repr(node.get('pipeline')), []).append(name)
    for names in pipelines.values():
        dataset = DATASETS.build({**uses[names[0]], 'lazy_init': True})
        if dataset.pipeline.transforms:
            trains = any(name.startswith('train_dataloader') for name in names)
            for problem in check_pipeline(dataset, report.examples, one_size=trains):
                yield f'{", ".join(names)}: {problem}'


def run(args: argparse.Namespace) -> None:
    """Check all data sets of a config."""
    config, has_problems = load_config(args.config, args.cfg_options), False
    init_default_scope(config.get('default_scope', 'mmseg'))
    for uses in different_datasets(config.to_dict()):
        dataset = DATASETS.build({**next(iter(uses.values())), 'lazy_init': True})
        report = check_dataset(dataset)
        problems = [*report.problems, *pipeline_problems(uses, report)]
        has_problems |= bool(problems)
        print(f'{", ".join(uses)}: {type(dataset).__name__} in {dataset.data_root}')
        print(report_text(report, problems, dataset.metainfo['classes'], args.max_problems), end='\n\n')
    if has_problems:
        sys.exit(1)
