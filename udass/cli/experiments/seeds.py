"""Train and test each config with each seed, and tabulate mean and standard deviation of the last iterates."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from udass.cli import write_json
from udass.cli.experiments.experiment import read_counts, read_result, run_experiment
from udass.evaluation.paired import Comparison, compare_all, worst_tenth
from udass.io.writing import write_text
from udass.visualization.report.metrics import Spread, spread

_BEST = (
    '\n(*) Not comparable with the last iterate: the best of several validations of each run, chosen with the labels '
    'that it is measured on.\n'
)
_INTERVALS = (
    'Differences in percentage points with 95 % intervals over test images (bootstrap) and seeds (Student). A config '
    'is better or worse only where the interval excludes 0.\n'
)


def run_folder(out: str, config: str, seed: int) -> Path:
    """The folder of one run."""
    return Path(out) / Path(config).stem / f'seed_{seed}'


def summarize(results: Mapping[str, Sequence[dict]]) -> list[dict]:
    """Mean and standard deviation (n - 1) of the results of the seeds, per config: ``mIoU`` (of the last iterates, by
    seed), ``mean``, ``std`` (None for one seed), ``train_seconds`` (mean), ``validations`` (of the run with the most)
    and, if every run validated more than once, ``best_mean`` and ``best_std`` of the highest validation score of each
    run.
    """
    rows = []
    for name, runs in results.items():
        last = [run['mIoU'] for run in runs]
        row = {'config': name, 'seeds': [run['seed'] for run in runs], 'mIoU': last}
        row |= {'mean': spread(last).mean, 'std': spread(last).std}
        row['train_seconds'] = spread(run['train_seconds'] for run in runs).mean
        row['validations'] = max(len(run['validations']) for run in runs)
        if all(len(run['validations']) > 1 for run in runs):
            best = [max(score for _, score in run['validations']) for run in runs]
            row |= {'best': best, 'best_mean': spread(best).mean, 'best_std': spread(best).std}
        rows.append(row)
    return rows


def to_markdown(rows: Sequence[dict]) -> str:
    """The summary as a table; the best of several validations has a column of its own with a mark."""
    with_best = any('best_mean' in row for row in rows)
    lines = [['config', 'mIoU, last iterate', 'per seed', 'minutes per run', 'best on validation (*)']]
    lines += [['---', '---:', '---', '---:', '---:']]
    for row in rows:
        scores = ', '.join(f'{seed}: {score:.2f}' for seed, score in zip(row['seeds'], row['mIoU'], strict=True))
        best = Spread(row['best_mean'], row['best_std']).text(2) if 'best_mean' in row else '-'
        minutes = f'{row["train_seconds"] / 60:.1f}'
        lines.append([row['config'], Spread(row['mean'], row['std']).text(2), scores, minutes, best])
    text = '\n'.join(f'| {" | ".join(cells[: 4 + with_best])} |' for cells in lines) + '\n'
    return text + '\nmIoU in percent, mean ± standard deviation (n - 1) over the seeds.\n' + _BEST * with_best


def differences_to_markdown(comparisons: Mapping[tuple[str, str], Comparison]) -> str:
    """The differences between configs as a table; empty without any."""
    if not comparisons:
        return ''
    lines = [
        '| config | against | seeds | mIoU | worst tenth of the images | mIoU is |',
        '| --- | --- | ---: | ---: | ---: | --- |',
    ]
    for (config, other), found in comparisons.items():
        cells = [config, other, str(found.seeds), found.miou.text(), found.worst.text(), found.miou.verdict]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(['', *lines, '', _INTERVALS])


def write_summary(args: argparse.Namespace) -> str | None:
    """Write summary.json, differences.json and summary.md from the results so far; returns the Markdown, or None before
    the first result."""
    results: dict[str, list[dict]] = {}
    for config in args.configs:
        found = [read_result(run_folder(args.out, config, seed)) for seed in args.seeds]
        if any(result is not None for result in found):
            results[Path(config).stem] = [result for result in found if result is not None]
    if not results:
        return None
    counts = {}
    for name, runs in results.items():
        found = {run['seed']: read_counts(Path(args.out) / name / f'seed_{run["seed"]}') for run in runs}
        counts[name] = {seed: kept for seed, kept in found.items() if kept is not None}
    rows = summarize(results)
    for row in rows:
        if counts[row['config']]:
            row['worst_tenth'] = [round(worst_tenth(found), 4) for found in counts[row['config']].values()]
    comparisons = compare_all(counts)
    markdown = to_markdown(rows) + differences_to_markdown(comparisons)
    write_json(f'{args.out}/summary.json', rows)
    pairs = [{'config': one, 'against': other, **found.to_dict()} for (one, other), found in comparisons.items()]
    write_json(f'{args.out}/differences.json', pairs)
    write_text(Path(args.out) / 'summary.md', markdown)
    return markdown


def check_names(args: argparse.Namespace) -> None:
    """Raises ValueError if two configs have the same file name, or a seed is given twice."""
    stems = [Path(config).stem for config in args.configs]
    for what, values in (('configs with the name', stems), ('seeds', args.seeds)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'{what} {", ".join(map(str, twice))} given twice; every run needs a folder of its own')


def run(args: argparse.Namespace) -> None:
    """Train and test what has no result yet."""
    check_names(args)
    for config in args.configs:
        for seed in args.seeds:
            folder = run_folder(args.out, config, seed)
            before = ' (finished before)' if read_result(folder) is not None else ''
            try:
                result = run_experiment(config, seed, folder, args.cfg_options)
            except KeyboardInterrupt:
                write_summary(args)
                sys.stderr.write(f'\nInterrupted in {folder}. The same command goes on from there.\n')
                sys.exit(130)
            scores = f'mIoU {result["mIoU"]:.2f}, trained in {result["train_seconds"]:.0f} s'
            print(f'{Path(config).stem} seed {seed}: {scores}{before}', flush=True)
            # Comparing all configs takes a minute for twenty of them; a finished run changes nothing.
            if not before:
                write_summary(args)
    print(f'\n{write_summary(args)}\nwritten to {args.out}/summary.md, summary.json and differences.json')
