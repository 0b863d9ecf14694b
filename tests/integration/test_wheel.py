"""The project as people install it: from a wheel, in an environment of its own, used in an empty folder.

The dependencies are those of the environment of the tests: a path file makes them visible, but not the project.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from udass.datasets.base.classes import CLASSES

PROJECT = Path(__file__).parents[2]
PARTS = ('configs', 'udass', 'setup.py', 'pyproject.toml', 'README.md')


def run(folder, *command, **variables):
    """Output of a command in a folder."""
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**environment, **variables}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}'
    return done.stdout


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The folder of the programs of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp('wheel')
    (folder / 'source').mkdir()
    for part in PARTS:
        copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
        copy(PROJECT / part, folder / 'source' / part)
    pip = (sys.executable, '-m', 'pip')
    run(folder, *pip, 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', folder, folder / 'source')
    venv.create(folder / 'venv', symlinks=True)
    python = folder / 'venv' / 'bin' / 'python'
    run(folder, *pip, '--python', python, 'install', '-q', '--no-deps', next(folder.glob('*.whl')))
    packages = next((folder / 'venv' / 'lib').glob('*/site-packages'))
    (packages / 'dependencies.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return python.parent


# From Python, as in a notebook; the commands start in one process.
SESSION = """
import udass
from udass.cli.main import main

options = {'test_dataloader.dataset.data_root': STREETS}
scores = udass.test('mine.py', 'work_dirs/mine/iter_2.pth', options=options, out='images')
print('classes:', len(scores['IoU']), 'mIoU:', scores['mIoU'])
main(['report', DEMO, '--out', 'report.html'])
# Two folders, and the network that leaves.
short = ['--network', 'resnet10t', '--iterations', '2', '--only', 'adapted', '--yes', '--out', 'adapted']
main(['adapt', f'{STREETS}/game/train', f'{STREETS}/camera/train', *short])
main(['export', 'adapted/adapted/iter_2.pth', '--format', 'onnx', '--check', '--out', 'exported'])
"""


@pytest.mark.slow
def test_what_works_in_a_checkout_works_from_a_wheel(installed, tmp_path):
    udass, python = installed / 'udass', installed / 'python'
    where = run(tmp_path, python, '-c', 'import udass; print(udass.__file__)')
    assert where.startswith(str(installed.parent))
    # Images and scores from nothing.
    short = ('--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2')
    said = run(tmp_path, udass, 'demo', '--quick', '--images', '2', *short)
    demo = tmp_path / 'work_dirs' / 'demo_quick'
    assert 'gain' in said and (demo / 'comparison.png').is_file()
    # Configs by name, and one to edit.
    assert '76.1' in run(tmp_path, udass, 'configs', 'gta2cs_quadmix')
    run(tmp_path, udass, 'configs', '--copy', 'streets_source_only', '--out', 'mine.py')
    loaders = ('train_dataloader.source', 'val_dataloader', 'test_dataloader')
    options = [f'{loader}.dataset.data_root={demo}/streets' for loader in loaders]
    run(
        tmp_path,
        udass,
        'train',
        'mine.py',
        '--cfg-options',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=5',
        *options,
    )
    assert (tmp_path / 'work_dirs' / 'mine' / 'iter_2.pth').is_file()
    # In a few images not every class occurs.
    (demo / 'streets' / 'game' / 'train' / 'classes.txt').write_text('\n'.join(CLASSES))
    said = run(tmp_path, python, '-c', f'DEMO, STREETS = {str(demo)!r}, {str(demo / "streets")!r}\n{SESSION}')
    assert 'classes: 19 mIoU: ' in said
    assert len(list((tmp_path / 'images').glob('*.png'))) == 10
    assert '</html>' in (tmp_path / 'report.html').read_text()
    assert any((tmp_path / 'adapted' / 'adapted' / 'target' / 'ids').iterdir())
    assert (tmp_path / 'exported' / 'model.onnx').is_file()
