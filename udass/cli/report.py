"""Write one HTML page of a run, or of several side by side, that opens from disk without a network."""

import argparse
from pathlib import Path

from udass.cli import UsageError
from udass.engine.config_files import open_test_dataset
from udass.io.writing import write_text
from udass.visualization.report import read_methods, render_report


def run(args: argparse.Namespace) -> Path:
    """Write the page; returns its path."""
    if args.examples < 0:
        raise UsageError(f'--examples must not be negative, got {args.examples}')
    methods = read_methods(args.folders)
    page = render_report(methods, open_test_dataset, args.examples)
    out = args.out or Path(args.folders[0]) / 'report.html'
    write_text(out, page)
    print(f'{out}: {", ".join(method.name for method in methods)} ({len(page) / 1e6:.1f} MB)')
    return out
