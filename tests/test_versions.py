"""What is promised of versions is what is tested."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from udass.cli import env

PROJECT = Path(__file__).parents[1]


def numbers(version):
    return tuple(int(part) for part in re.match(r'[\d.]+', version).group().strip('.').split('.'))


def pins(name):
    lines = (PROJECT / name).read_text().splitlines()
    return dict(line.split('==') for line in lines if '==' in line)


def promised_python():
    return re.search(r"python_requires='>=([0-9.]+)'", (PROJECT / 'setup.py').read_text())[1]


def test_all_pinned_packages_run_on_the_lowest_python():
    wrong = []
    for name, version in pins('requirements.txt').items():
        try:
            found = metadata(name)
        except PackageNotFoundError:
            continue
        needs = re.search(r'>=\s*([0-9.]+)', found.get('Requires-Python') or '>=3')[1]
        if found['Version'] == version and numbers(needs) > numbers(promised_python()):
            wrong.append(f'{name}=={version} needs Python {needs}')
    assert not wrong


def test_the_lowest_python_is_the_same_everywhere():
    python = promised_python()
    assert '.'.join(map(str, env.PYTHON)) == python
    assert f'They need Python {python} or newer' in (PROJECT / 'README.md').read_text()
    makefile = (PROJECT / 'Makefile').read_text()
    assert f'UDASS needs Python {python} or newer' in makefile and f'< ({python.replace(".", ", ")})' in makefile
    assert f'target-version = "py{python.replace(".", "")}"' in (PROJECT / 'pyproject.toml').read_text()


def test_the_lowest_versions_are_those_that_are_tested():
    """Each bound of setup.py is the version that continuous integration installs, without its last numbers."""
    tested = pins('requirements.txt')
    assert set(env.MINIMUM) <= set(tested)
    for name, bound in env.MINIMUM.items():
        assert numbers(tested[name])[: len(numbers(bound))] == numbers(bound), name


def test_torch_can_read_checkpoints_with_names_of_other_versions():
    """``safe_globals`` exists since torch 2.5, and takes pairs of an object and its name since 2.6."""
    assert numbers(env.MINIMUM['torch']) >= (2, 6)
