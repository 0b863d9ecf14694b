"""Trains and tests each config with each seed and tabulates mean and standard deviation of the last iterates.

    python tools/run_seeds.py configs/streets_source_only.py configs/streets_quadmix.py --seeds 0 1 2

Finished runs are kept, interrupted ones go on: after Ctrl-C, give the same command again.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from udass.cli.command import run_command
from udass.cli.experiments.experiment import ExperimentFailed, read_result, run_experiment
from udass.io.writing import write_text


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train and test each config with each seed.',
        epilog='example: python tools/run_seeds.py configs/streets_source_only.py configs/streets_quadmix.py',
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds (default: 0 1 2)')
    parser.add_argument(
        '--out',
        default='work_dirs/seeds',
        metavar='DIR',
        help='folder for everything '
        '(default: %(default)s); results in <config>/seed_<n>/result.json, summary.json, summary.md',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings that replace those of every config'
    )
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


def run_folder(out: str, config: str, seed: int) -> Path:
    return Path(out) / Path(config).stem / f'seed_{seed}'


def summarize(results: Mapping[str, Sequence[dict]]) -> list[dict]:
    """Mean and standard deviation (n - 1) per config.

    Args:
        results (Mapping[str, Sequence[dict]]): config name -> results of its seeds.

    Returns:
        list[dict]: per config: ``mIoU`` (of the last iterates, by seed), ``mean``, ``std`` (None for one seed),
        ``train_seconds`` (mean), ``validations`` (of the run with the most) and, if every run validated more than
        once, ``best_mean`` and ``best_std`` of the highest validation score of each run.
    """
    rows = []
    for name, runs in results.items():
        last = [run['mIoU'] for run in runs]
        row = {
            'config': name,
            'seeds': [run['seed'] for run in runs],
            'mIoU': last,
            'mean': statistics.mean(last),
            'std': _deviation(last),
            'train_seconds': statistics.mean(run['train_seconds'] for run in runs),
            'validations': max(len(run['validations']) for run in runs),
        }
        if all(len(run['validations']) > 1 for run in runs):
            best = [max(score for _, score in run['validations']) for run in runs]
            row |= {'best': best, 'best_mean': statistics.mean(best), 'best_std': _deviation(best)}
        rows.append(row)
    return rows


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def to_markdown(rows: Sequence[dict]) -> str:
    """The summary as a table; the best of several validations stands apart and is marked."""
    with_best = any('best_mean' in row for row in rows)
    head = ['config', 'mIoU, last iterate', 'per seed', 'minutes per run']
    head += ['best on validation (*)'] if with_best else []
    lines = [head, ['---', '---:', '---', '---:'] + ['---:'] * with_best]
    for row in rows:
        scores = ', '.join(f'{seed}: {score:.2f}' for seed, score in zip(row['seeds'], row['mIoU'], strict=True))
        cells = [row['config'], _spread(row['mean'], row['std']), scores, f'{row["train_seconds"] / 60:.1f}']
        if with_best:
            cells.append(_spread(row['best_mean'], row['best_std']) if 'best_mean' in row else '-')
        lines.append(cells)
    text = '\n'.join(f'| {" | ".join(cells)} |' for cells in lines) + '\n'
    text += '\nmIoU in percent, mean ± standard deviation (n - 1) over the seeds.\n'
    if with_best:
        text += (
            '\n(*) Not comparable with the last iterate: the best of several validations of each run, chosen with '
            'the labels that it is measured on.\n'
        )
    return text


def _spread(mean: float, deviation: float | None) -> str:
    return f'{mean:.2f}' if deviation is None else f'{mean:.2f} ± {deviation:.2f}'


def write_summary(args: argparse.Namespace) -> str | None:
    """Writes summary.json and summary.md from the results so far; returns the Markdown, None before the first."""
    results: dict[str, list[dict]] = {}
    for config in args.configs:
        found = [read_result(run_folder(args.out, config, seed)) for seed in args.seeds]
        if any(result is not None for result in found):
            results[Path(config).stem] = [result for result in found if result is not None]
    if not results:
        return None
    rows = summarize(results)
    markdown = to_markdown(rows)
    for name, content in (('summary.json', json.dumps(rows, indent=1) + '\n'), ('summary.md', markdown)):
        write_text(Path(args.out) / name, content)
    return markdown


def check_names(args: argparse.Namespace) -> None:
    """Every run needs a folder of its own.

    Raises:
        ValueError: two configs have the same file name, or a seed is given twice.
    """
    stems = [Path(config).stem for config in args.configs]
    for what, values in (('configs with the name', stems), ('seeds', args.seeds)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'{what} {", ".join(map(str, twice))} given twice; every run needs a folder of its own')


def run_all(args: argparse.Namespace) -> None:
    check_names(args)
    for config in args.configs:
        for seed in args.seeds:
            folder = run_folder(args.out, config, seed)
            kept = read_result(folder) is not None
            try:
                result = run_experiment(config, seed, folder, Path(__file__).parent, args.cfg_options)
            except KeyboardInterrupt:
                write_summary(args)
                sys.stderr.write(f'\nInterrupted in {folder}. The same command goes on from there.\n')
                sys.exit(130)
            except ExperimentFailed as error:
                sys.exit(f'error: {error}')
            print(
                f'{Path(config).stem} seed {seed}: mIoU {result["mIoU"]:.2f}, trained in '
                f'{result["train_seconds"]:.0f} s{" (finished before)" if kept else ""}',
                flush=True,
            )
            write_summary(args)
    print(f'\n{write_summary(args)}\nwritten to {args.out}/summary.md and summary.json')


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: run_all(args))


if __name__ == '__main__':
    main()
