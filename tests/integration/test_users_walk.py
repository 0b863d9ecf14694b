"""A user's walk through docs/use_a_network.md: own images, one config, train, look, infer, report; no other edit."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from udass.cli.main import main
from udass.streets import write_streets

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / 'docs' / 'use_a_network.md').read_text()
CONFIG, API = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)
COMMANDS = [line for block in re.findall(r'```shell\n(.*?)```', TEXT, re.DOTALL) for line in block.splitlines()]
# The last step.
REPORT = 'udass report work_dirs/my_images --out work_dirs/my_images/report.html'


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The project with built-in streets as source, a folder of 12 images, and the config of the docs."""
    folder = tmp_path / 'clone'
    for part in ('configs', 'tools', 'udass'):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns('__pycache__'))
    write_streets(folder / 'data' / 'streets', workers=1, counts=dict(game=dict(train=12), camera=dict(val=1)))
    write_streets(tmp_path / 'other', workers=1, seed=5, counts=dict(camera=dict(train=12)))
    shutil.move(tmp_path / 'other' / 'camera' / 'train' / 'images', folder / 'data' / 'my_images')
    (folder / 'configs' / 'my_images.py').write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def run(command, folder, capfd):
    """Output of a command of the docs."""
    program, *arguments = shlex.split(command)
    assert program == 'udass'
    # As a user runs it, in a process of its own; the rest is run in this one, which is faster.
    if arguments[0] == 'train':
        done = subprocess.run(
            [sys.executable, '-m', 'udass', *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, 'PYTHONPATH': str(folder)},
        )
        assert done.returncode == 0, f'{command}\n{done.stdout[-1000:]}{done.stderr[-3000:]}'
        return done.stdout
    capfd.readouterr()
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code, f'{command}: {stop.code}\n{capfd.readouterr().out[-2000:]}'
    return capfd.readouterr().out


def test_the_config_is_short():
    assert len(CONFIG.strip().splitlines()) <= 15


@pytest.mark.slow
def test_own_pictures_from_one_config_to_results(clone, capfd):
    printed = {command: run(command, clone, capfd) for command in [*COMMANDS, REPORT]}

    def said(tool, number=0):
        return [text for command, text in printed.items() if tool in command][number]

    assert 'ImageFolder in data/my_images\n12 images: 384x192 (12)' in said('udass check')
    assert 'no conflicts, nothing missing' in said('udass env')
    work_dir = clone / 'work_dirs' / 'my_images'
    assert '<figure>' in (work_dir / 'samples.html').read_text()
    assert cv2.imread(str(work_dir / 'samples.png')).shape[1] > 1000
    assert (work_dir / 'iter_10.pth').is_file() and (work_dir / 'panels' / 'iter_000010.png').is_file()
    assert 'Images are resized to cover 256x128' in said('infer') and '12 images in' in said('infer')
    names = sorted(path.name for path in (clone / 'data' / 'my_images').iterdir())
    for kind in ('ids', 'overlays'):
        assert sorted(path.name for path in (work_dir / 'results' / kind).iterdir()) == names
    ids = cv2.imread(str(work_dir / 'results' / 'ids' / names[0]), cv2.IMREAD_UNCHANGED)
    assert ids.shape == (192, 384) and ids.max() < 19
    scope = {}
    exec(compile(API, 'use_a_network.md', 'exec'), scope)
    assert np.array_equal(scope['ids'], ids)
    assert '</html>' in (work_dir / 'report.html').read_text().lower()
