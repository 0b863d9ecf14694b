"""What every tool says of itself."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TOOLS = sorted(path.name for path in (PROJECT / 'tools').glob('*.py'))


@pytest.mark.parametrize('tool', TOOLS)
def test_help_is_a_sentence_the_options_and_an_example(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [tool, '--help'])
    monkeypatch.setenv('COLUMNS', '120')
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(PROJECT / 'tools' / tool), run_name='__main__')
    assert stop.value.code == 0
    text = capsys.readouterr().out
    usage, sentence, rest = text.split('\n\n', 2)
    assert usage.startswith(f'usage: {tool}')
    assert len(sentence) > 20 and sentence[0].isupper() and sentence.endswith('.'), sentence
    assert 'options:' in rest and '--help' in rest
    assert '--debug' in rest, 'docs/troubleshooting.md says that every tool has it'
    assert f'example: python tools/{tool} ' in ' '.join(rest.split()), 'no example at the end'
    for word in rest.replace("'", ' ').split():
        if word.startswith('configs/') and word.endswith('.py'):
            assert (PROJECT / word).is_file(), f'{tool} names {word}'


@pytest.mark.parametrize(
    'tool, arguments',
    [
        ('convert_checkpoint', ['gone.pth', 'out.pth']),
        ('demo', ['--configs', 'gone']),
        ('make_streets', ['--root', 'file/streets']),
        ('run_seeds', ['gone.py', 'gone.py']),
    ],
)
def test_debug_keeps_the_error_and_its_traceback(tool, arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    # Undone afterwards, whatever the tool sets.
    monkeypatch.setenv('UDASS_DEBUG', '0')
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit, match='UDASS_DEBUG=1 shows where it happened'):
        runpy.run_path(str(PROJECT / 'tools' / f'{tool}.py'), run_name='__main__')
    sys.argv.append('--debug')
    with pytest.raises((OSError, ValueError)):
        runpy.run_path(str(PROJECT / 'tools' / f'{tool}.py'), run_name='__main__')


@pytest.mark.slow
def test_a_tool_helps_from_any_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, str(PROJECT / 'tools' / 'infer.py'), '--help'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(PROJECT)},
    )
    assert done.returncode == 0 and 'Segment images and video' in done.stdout
