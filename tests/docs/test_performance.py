"""docs/performance.md and the raw results that it names."""

import json
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / 'docs' / 'performance.md').read_text()
RESULTS = PROJECT / 'docs' / 'results' / 'performance'


def result(name):
    return json.loads((RESULTS / f'{name}.json').read_text())


def test_every_raw_result_is_named_and_exists():
    named = set(re.findall(r'docs/results/performance/(\w+)\.json', PAGE))
    assert named == {path.stem for path in RESULTS.glob('*.json')}


@pytest.mark.parametrize('name, decoder', [('step', 'SegFormer'), ('step_aspp', 'DAFormer')])
def test_the_table_of_steps_is_that_of_the_results(name, decoder):
    for method, row in zip(('DAFormer', 'QuadMix'), result(name)['step']['rows'], strict=True):
        milliseconds = [round(1e3 * row[key]) for key in ('median', 'low', 'high')]
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| {method}, {decoder}'s decoder"))
        assert '{} ({} to {})'.format(*milliseconds) in line
        assert f'| {100 * row["networks"]:.1f} % |' in line and f'| {row["peak_bytes"] / 2**20:.0f} |' in line


def test_the_ratios_are_those_of_the_results():
    mix, loader = result('mix')['mix'], result('loader')['loader']
    shown = [*mix['mixing']['ratios'].values(), *mix['ema']['ratios'].values(), loader['rare_class']['ratio']]
    for value in shown:
        assert f'| {value["median"]:.1f} ({value["low"]:.1f} to {value["high"]:.1f}) |' in PAGE
    for value in loader['throughput']['ratios'].values():
        assert f'| {value["median"]:.2f} ({value["low"]:.2f} to {value["high"]:.2f}) |' in PAGE
    for row in result('growth')['step']['rows']:
        assert f' {row["microseconds_per_pixel"]:.1f} |' in PAGE
