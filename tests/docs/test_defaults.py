"""The options that docs/methods.md lists are those of the components, with their defaults."""

import inspect
import re
from pathlib import Path

import pytest

from udass.engine.config import component_classes

TEXT = (Path(__file__).parents[2] / 'docs' / 'methods.md').read_text()
TABLES = dict(re.findall(r'^\| option of `(\w+)` \| default \| \|\n\|[ -|]*\n((?:\|.*\n?)+)', TEXT, re.MULTILINE))


def documented(name):
    rows = re.findall(r'^\| `(\w+)` \| `([^`]*)` \|', TABLES[name], re.MULTILINE)
    assert len(rows) == len(TABLES[name].splitlines()), f'a row of {name} cannot be read'
    return dict(rows)


@pytest.mark.parametrize('name', TABLES)
def test_options_and_defaults_are_those_of_the_code(name):
    (component,) = component_classes(name)
    parameters = inspect.signature(component).parameters.values()
    assert documented(name) == {
        parameter.name: repr(parameter.default)
        for parameter in parameters
        if parameter.default is not inspect.Parameter.empty
    }


def test_every_component_of_the_methods_is_listed():
    folder = Path(__file__).parents[2] / 'configs' / '_base_' / 'uda'
    named = {name for path in folder.glob('*.py') for name in re.findall(r"type='(\w+)'", path.read_text())}
    missing = named - set(TABLES) - {'DomainAdapter', 'VideoAdapter', 'UDATrainLoop', 'TimmViT'}
    assert not missing, f'docs/methods.md has no table of the options of {sorted(missing)}'
