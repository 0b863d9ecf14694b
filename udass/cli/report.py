"""Write one HTML page of a run, or of several side by side, that opens from disk without a network.

The page has what the folders hold: curves from the log, and once ``tools/test.py`` was run with --json and
--predictions, scores by class, confusions and examples. What is missing is listed with the command that makes it.
"""

import argparse
from pathlib import Path

from udass.cli import UsageError, command, new_parser


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    example = 'report.py work_dirs/streets_source_only work_dirs/streets_quadmix --out comparison.html'
    result = new_parser('Write one HTML page of a run, or of several side by side.', example)
    add = result.add_argument
    text = (
        'work dirs of tools/train.py, or folders of tools/run_seeds.py or tools/demo.py, whose seeds become one method '
        'with mean and deviation; gains and losses are those of the last one over the first'
    )
    add('folders', nargs='+', metavar='WORK_DIR', help=text)
    text = 'page to write (default: report.html in the first WORK_DIR)'
    add('--out', type=Path, metavar='FILE.html', help=text)
    text = 'images to show that gain most, and as many that lose most (default: %(default)s)'
    add('--examples', type=int, default=3, metavar='N', help=text)
    return result


def run(args: argparse.Namespace) -> Path:
    """Write the page; returns its path."""
    if args.examples < 0:
        raise UsageError(f'--examples must not be negative, got {args.examples}')
    from udass.engine.config_files import open_test_dataset
    from udass.io.writing import write_text
    from udass.visualization.report import read_methods, render_report

    methods = read_methods(args.folders)
    page = render_report(methods, open_test_dataset, args.examples)
    out = args.out or Path(args.folders[0]) / 'report.html'
    write_text(out, page)
    print(f'{out}: {", ".join(method.name for method in methods)} ({len(page) / 1e6:.1f} MB)')
    return out


main = command(parser, run)
