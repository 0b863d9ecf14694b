"""The tables of results in the documentation show the raw results."""

import collections
import itertools
import json

import pytest

from tests.docs.camvid_results import METHODS, PAGE, RESULTS, page
from tests.docs.commands import PROJECT
from udass.visualization.report.metrics import Spread

BENCHMARKS = {
    'streets, game to camera': 'streets',
    'streets as video, game to camera': 'streets_video',
    'streets to CamVid': 'streets2camvid',
    'CamVid, day to dusk': 'camvid_day2dusk',
}


def table_rows(file):
    """(config, cell) of the table whose rows are benchmarks and whose columns are methods."""
    lines = file.read_text(encoding='utf-8').splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith('| benchmark | source only |'))
    titles = [cell.split(' (')[0] for cell in cells_of(lines[first])[1:]]
    methods = {title: name for name, title in METHODS.items()}
    for line in lines[first + 2 :]:
        if not line.startswith('|'):
            return
        label, *cells = cells_of(line)
        benchmark = BENCHMARKS[label.split(' (')[0]]
        for title, cell in zip(titles, cells, strict=True):
            if cell:
                yield f'{benchmark}_{methods[title]}', cell


def cells_of(line):
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_the_page_is_what_its_command_writes():
    assert PAGE.read_text(encoding='utf-8') == page(), 'run python -m tests.docs.camvid_results'


@pytest.mark.parametrize('file', ['README.md', 'docs/results/README.md'])
def test_tables_show_the_summary(file):
    summary = {row['config']: row for row in json.loads((RESULTS / 'summary.json').read_text())}
    rows = dict(table_rows(PROJECT / file))
    assert len(rows) > 3
    for config, cell in rows.items():
        assert cell.strip('*') == Spread(summary[config]['mean'], summary[config]['std']).text(), config


def test_results_name_the_commit_and_no_folder_of_the_machine():
    for path in RESULTS.glob('*camvid*/seed_*/*.json'):
        result = json.loads(path.read_text())
        assert not str(result.get('checkpoint', '')).startswith('/'), path
        if path.name == 'result.json':
            assert len(result['code']) >= 7 and 'dirty' not in result['code'], path


def test_the_table_of_tries_shows_all_that_differ_in_rate_decay_and_start():
    """In a cell are the scores of the seeds; a row without decay and start is one without a teacher."""
    lines = (PROJECT / 'docs' / 'small_benchmarks.md').read_text(encoding='utf-8').splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith('| rate of the backbone'))
    methods = {title: name for name, title in METHODS.items()}
    titles = cells_of(lines[first])[3:]
    shown = {}
    for line in itertools.takewhile(lambda line: line.startswith('|'), lines[first + 2 :]):
        rate, decay, start, *cells = cells_of(line)
        for title, cell in zip(titles, cells, strict=True):
            if cell:
                shown[rate, decay, start, methods[title]] = cell.replace('*', '')
    tries = json.loads((RESULTS / 'choices' / 'tries.json').read_text())
    expected = collections.defaultdict(list)
    for one in sorted(tries, key=lambda one: one['seed']):
        parts = set(one['try'].split('_')) - {'base'}
        method = one['config'].removeprefix('configs/streets2camvid_').removesuffix('.py')
        # In the first try of QuadMix masked images counted in the statistics of batch norm.
        if parts <= {'lr1x10', 'ema95', 'ema999', 'start150', 'start300', 'nostat'} and (parts or method != 'quadmix'):
            rate = '1e-3, 10' if 'lr1x10' in parts else '3e-3, 2'
            decay = '0.95' if 'ema95' in parts else '0.999' if 'ema999' in parts else '0.99'
            start = next((part.removeprefix('start') for part in parts if part.startswith('start')), '0')
            expected[rate, decay, start, method].append(f'{one["mIoU"]:.1f}')
    assert shown == {key: ', '.join(values) for key, values in expected.items()}
