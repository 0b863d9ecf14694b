"""What ``udass`` and its commands say of themselves, and the launchers in ``tools``."""

import os
import re
import resource
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.commands import expand, split
from udass.cli.main import COMMANDS, build_parser, main
from udass.io.published import CONFIGS, find_config

PROJECT = Path(__file__).parents[2]
TOOLS = sorted(path.stem for path in (PROJECT / 'tools').glob('*.py'))


@pytest.mark.parametrize('name', COMMANDS)
def test_help_is_a_sentence_the_options_and_an_example(name, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '120')
    with pytest.raises(SystemExit, match='0'):
        main([name, '--help'])
    usage, sentence, rest = capsys.readouterr().out.split('\n\n', 2)
    assert usage.startswith(f'usage: udass {name}')
    assert len(sentence) > 20 and sentence[0].isupper() and sentence.endswith('.'), sentence
    assert 'options:' in rest and '--help' in rest
    assert '--debug' in rest, 'docs/troubleshooting.md says that every command has it'
    assert f'example: udass {name}' in ' '.join(rest.split()), 'no example at the end'


@pytest.mark.parametrize('name', COMMANDS)
def test_the_example_is_a_command_with_a_published_config(name):
    parser, parsers = build_parser()
    example = parsers[name].epilog.removeprefix('example: udass ')
    words = [word for part in split(example.split(' (')[0]) for word in expand(part)]
    args = parser.parse_args(words)
    for config in (getattr(args, 'config', None), getattr(args, 'check', None), *getattr(args, 'configs', ())):
        assert config is None or find_config(config).parent == CONFIGS


def test_help_takes_a_moment_and_prints_nothing_else():
    """Of all commands in turn, each in a process of its own."""
    for name in COMMANDS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, '-m', 'udass', name, '--help']
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(PROJECT)})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0 and done.stderr == '' and done.stdout.startswith(f'usage: udass {name}')
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5, name


def test_help_imports_no_torch():
    code = "import sys; from udass.cli.main import build_parser; build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(PROJECT)}).returncode == 0


@pytest.mark.parametrize('tool', TOOLS)
def test_a_launcher_is_the_command_that_it_names(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [tool, '--help'])
    with pytest.raises(SystemExit, match='0'):
        runpy.run_path(str(PROJECT / 'tools' / f'{tool}.py'), run_name='__main__')
    name = re.search(r'is ``udass (\w+)', (PROJECT / 'tools' / f'{tool}.py').read_text())[1]
    assert capsys.readouterr().out.startswith(f'usage: udass {name}')


@pytest.mark.parametrize(
    'arguments',
    [
        ['convert', 'gone.pth', 'out.pth'],
        ['train', 'gone'],
        ['streets', '--root', 'file/streets'],
        ['seeds', 'gone.py', 'gone.py'],
    ],
)
def test_debug_keeps_the_error_and_its_traceback(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    # Undone afterwards, whatever the command sets.
    monkeypatch.setenv('UDASS_DEBUG', '0')
    with pytest.raises(SystemExit, match='UDASS_DEBUG=1 shows where it happened'):
        main(arguments)
    with pytest.raises((OSError, ValueError)):
        main([*arguments, '--debug'])
