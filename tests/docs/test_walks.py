"""The walks of docs/how_it_works.md: every stop is a function of the named file."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
STOP = re.compile(r'^\| (\d) \| `(.+?\.py)` \| `(.+?)` \| .+ \|$', re.MULTILINE)
STOPS = STOP.findall((PROJECT / 'docs' / 'how_it_works.md').read_text())


def test_there_are_three_walks_of_at_most_eight_stops():
    numbers = [int(number) for number, _, _ in STOPS]
    assert numbers.count(1) == 3 and max(numbers) <= 8
    assert all(number in (1, before + 1) for before, number in zip([0, *numbers], numbers, strict=False))


@pytest.mark.parametrize(('file', 'name'), [stop[1:] for stop in STOPS])
def test_every_stop_exists(file, name):
    root = PROJECT if file.startswith('udass') else Path(importlib.util.find_spec('mmengine').origin).parents[1]
    body = ast.parse((root / file).read_text()).body
    for part in name.split('.'):
        body = next(node.body for node in body if getattr(node, 'name', None) == part)
