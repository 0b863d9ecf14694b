"""The order of the packages, and their size: what a package may import, how long files and functions may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MODULES_PER_PACKAGE, LINES_PER_FILE, LINES_PER_FUNCTION = 12, 400, 60
# Package -> what it may import of the others. A package may import what is below the ones that it may import.
BELOW = {
    'errors': (),
    'io': ('errors',),
    'flow': ('io',),
    'streets': ('flow',),
    'models': ('flow',),
    'uda': ('models',),
    'datasets': ('flow', 'streets'),
    'evaluation': ('flow',),
    'engine': ('uda', 'datasets', 'evaluation'),
    'visualization': ('evaluation',),
    'inference': ('engine',),
    'export': ('inference',),
    'all_modules': ('engine', 'visualization'),
    'cli': ('export', 'visualization'),
    'benchmark': ('cli',),
    '__main__': ('cli',),
}
# The only modules that may import the generator of the built-in scenes.
STREETS_USERS = r'udass/(streets/|datasets/streets\w*\.py|cli/\w+/(streets|demo)\.py)'
FILES = sorted((PROJECT / 'udass').rglob('*.py'))
PACKAGES = sorted({path.parent for path in FILES})


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def allowed(package: str) -> set[str]:
    return {package}.union(*(allowed(below) for below in BELOW[package]))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Place and module of each import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = '.' * node.level + (node.module or '')
            modules = [f'udass.{alias.name}' for alias in node.names] if start == 'udass' else [start]
        else:
            continue
        yield from ((f'{name_of(path)}:{node.lineno}', module) for module in modules)


def imported_packages(path: Path) -> Iterator[tuple[str, str]]:
    """Place and package of each import of this project in a file."""
    yield from ((place, module.split('.')[1]) for place, module in imports(path) if module.startswith('udass.'))


def test_every_package_has_its_place_in_the_order():
    assert {path.relative_to(PROJECT / 'udass').parts[0].removesuffix('.py') for path in FILES} == {*BELOW, '__init__'}


@pytest.mark.parametrize('package', BELOW)
def test_imports_point_downward(package):
    files = [path for path in FILES if path.relative_to(PROJECT / 'udass').parts[0].removesuffix('.py') == package]
    upward = [
        f'{place} imports udass.{other}'
        for path in files
        for place, other in imported_packages(path)
        if other not in allowed(package)
    ]
    assert not upward


def test_only_their_data_sets_and_commands_import_the_streets():
    users = {place for path in FILES for place, package in imported_packages(path) if package == 'streets'}
    assert not [place for place in users if not re.match(STREETS_USERS, place)]


def test_imports_are_absolute():
    folders = ('udass', 'tools', 'tests')
    files = [path for folder in folders for path in (PROJECT / folder).rglob('*.py')]
    assert not [place for path in files for place, module in imports(path) if module.startswith('.')]


def test_packages_have_few_modules():
    sizes = {name_of(folder): len([*folder.glob('*.py')]) - 1 for folder in PACKAGES}
    assert {name: size for name, size in sizes.items() if size > MODULES_PER_PACKAGE} == {}


def test_files_are_short():
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for folder in ('udass', 'tools', 'tests')
        for path in (PROJECT / folder).rglob('*.py')
    }
    assert {name: length for name, length in lengths.items() if length > LINES_PER_FILE} == {}


def test_functions_are_short():
    lengths = {
        f'{name_of(path)}:{node.lineno} {node.name}': node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > LINES_PER_FUNCTION} == {}


def test_the_documented_table_of_packages_is_complete_and_true():
    text = (PROJECT / 'docs' / 'how_it_works.md').read_text()
    rows = dict(re.findall(r'^\| `udass/(\w+)` \|.*\|(.*)\|$', text, re.MULTILINE))
    folders = {folder.name for folder in PACKAGES if folder.parent == PROJECT / 'udass'}
    assert rows.keys() == folders
    for folder, cell in rows.items():
        files = (PROJECT / 'udass' / folder).rglob('*.py')
        found = {package for path in files for _, package in imported_packages(path)}
        assert set(re.findall(r'`(\w+)`', cell)) == found & folders - {folder}, folder
