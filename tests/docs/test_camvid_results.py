"""The tables of results in the documentation show the raw results."""

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
