"""Writes one HTML page of a run, or of several side by side, that opens from disk without a network.

    python tools/report.py work_dirs/streets_source_only work_dirs/streets_quadmix --out comparison.html
    python tools/report.py work_dirs/seeds --out seeds.html

The page has what the folders hold: curves from the log, and once `tools/test.py` was run with --json and --predictions,
scores by class, confusions and examples. What is missing is listed in it with the command that makes it.
"""

import argparse
import os
from pathlib import Path

from udass.cli.command import run_command
from udass.engine.stored_config import open_test_dataset
from udass.io.writing import write_text
from udass.visualization.report import read_methods, render_report


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write one HTML page of a run, or of several side by side.',
        epilog='example: python tools/report.py work_dirs/streets_source_only work_dirs/streets_quadmix '
        '--out comparison.html',
    )
    parser.add_argument(
        'folders',
        nargs='+',
        metavar='WORK_DIR',
        help='work dirs of tools/train.py, or folders of '
        'tools/run_seeds.py or tools/demo.py, whose seeds become one method with mean and deviation; '
        'gains and losses are those of the last one over the first',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE.html', help='page to write (default: report.html in the first WORK_DIR)'
    )
    parser.add_argument(
        '--examples',
        type=int,
        default=3,
        metavar='N',
        help='images to show that gain most, and as many that lose most (default: %(default)s)',
    )
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    args = parser.parse_args(arguments)
    if args.examples < 0:
        parser.error(f'--examples must not be negative, got {args.examples}')
    return args


def report(args: argparse.Namespace) -> Path:
    methods = read_methods(args.folders)
    page = render_report(methods, open_test_dataset, args.examples)
    out = args.out or Path(args.folders[0]) / 'report.html'
    write_text(out, page)
    print(f'{out}: {", ".join(method.name for method in methods)} ({len(page) / 1e6:.1f} MB)')
    return out


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: report(args))


if __name__ == '__main__':
    main()
