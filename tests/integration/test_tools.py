"""The tools on a shipped config and tiny street scenes, as a user calls them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from udass.streets.writer import write_streets

PROJECT = Path(__file__).parents[2]
CONFIG = 'configs/streets_quadmix.py'


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp('streets')
    write_streets(root, size=(96, 192), workers=1, counts=dict(game=dict(train=8, val=2), camera=dict(train=8, val=2)))
    return root


def options(streets, iterations):
    roots = [
        f'{loader}.dataset.data_root={streets}'
        for loader in ('train_dataloader.source', 'train_dataloader.target', 'val_dataloader', 'test_dataloader')
    ]
    return [
        '--cfg-options',
        *roots,
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={iterations}',
        'train_cfg.source_sampling.min_pixels=300',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=2',
    ]


def call(tool, *arguments):
    command = [sys.executable, str(PROJECT / 'tools' / tool), *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_train_resume_and_test_both_branches(streets, tmp_path):
    work_dir = tmp_path / 'run'
    first = call('train.py', CONFIG, '--work-dir', work_dir, *options(streets, 3))
    assert first.returncode == 0, first.stderr[-2000:]
    assert 'tst.decode.loss_ce' in first.stdout and 'eta' in first.stdout
    assert (work_dir / 'panels' / 'iter_000003.png').is_file()
    again = call('train.py', CONFIG, '--work-dir', work_dir, '--resume', *options(streets, 4))
    assert again.returncode == 0, again.stderr[-2000:]
    assert (work_dir / 'iter_4.pth').is_file() and 'Continuing the data streams after iteration 3' in again.stdout
    scores = {}
    for branch in ('student', 'teacher'):
        out = tmp_path / f'{branch}.json'
        done = call(
            'test.py',
            CONFIG,
            work_dir / 'iter_4.pth',
            '--branch',
            branch,
            '--work-dir',
            work_dir / 'test',
            '--json',
            out,
            '--show-dir',
            tmp_path / branch,
            *options(streets, 4)[:5],
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert 'traffic light' in done.stdout and 'mean' in done.stdout
        assert len(list((tmp_path / branch).glob('*.png'))) == 2
        scores[branch] = json.loads(out.read_text())['IoU']
    assert scores['student'] != scores['teacher']
    # One bare segmentor, as convert_checkpoint.py writes it, is evaluated under the same config.
    bare = tmp_path / 'bare.pth'
    assert call('convert_checkpoint.py', work_dir / 'iter_4.pth', bare, '--branch', 'teacher').returncode == 0
    done = call(
        'test.py',
        CONFIG,
        bare,
        '--work-dir',
        work_dir / 'test',
        '--json',
        tmp_path / 'bare.json',
        *options(streets, 4)[:5],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / 'bare.json').read_text())['IoU'] == scores['teacher']


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['train_dataloader.source.dataset.data_root=/nowhere'], '/nowhere/game/train/images does not exist'),
        (['model.mixing.ratio=0.5'], 'option model.mixing.ratio does not exist'),
        (['model.student.decode_head.num_classes=11'], 'has num_classes=11, but'),
        (['train_dataloader.source.dataset.pipeline.3.crop_size=(999,999)'], 'crop'),
        (['model.student.backbone.checkpoint=missing.pth'], 'missing.pth do not exist'),
    ],
)
def test_bad_input_ends_with_one_message(streets, tmp_path, arguments, message):
    given = options(streets, 2)
    kept = [option for option in given if option.split('=')[0] not in {new.split('=')[0] for new in arguments}]
    done = call('train.py', CONFIG, '--work-dir', tmp_path, *kept, *arguments)
    assert done.returncode == 1
    assert message in done.stderr and 'Traceback' not in done.stderr, done.stderr[-3000:]


@pytest.mark.slow
def test_checkpoint_of_another_network_is_refused_with_its_keys(streets, tmp_path):
    trained = call(
        'train.py',
        'configs/streets_source_only.py',
        '--work-dir',
        tmp_path,
        *[option for option in options(streets, 1) if 'source_sampling' not in option and 'target' not in option],
    )
    assert trained.returncode == 0, trained.stderr[-2000:]
    done = call(
        'test.py',
        'configs/streets_quadmix_mitb0.py',
        tmp_path / 'iter_1.pth',
        '--work-dir',
        tmp_path / 'test',
        *options(streets, 1)[:5],
    )
    assert done.returncode == 1
    assert 'student of ' in done.stderr and 'iter_1.pth does not fit' in done.stderr
    assert 'missing: backbone.' in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.slow
def test_one_method_starts_from_a_checkpoint_of_another(streets, tmp_path):
    """The published QuadMix starts from MIC; here the start is a network trained on the source alone."""
    small = [option for option in options(streets, 2) if 'source_sampling' not in option and '.target.' not in option]
    start = call('train.py', 'configs/streets_source_only.py', '--work-dir', tmp_path / 'start', *small)
    assert start.returncode == 0, start.stderr[-2000:]
    checkpoint = tmp_path / 'start' / 'iter_2.pth'
    run = call('train.py', CONFIG, '--work-dir', tmp_path / 'run', *options(streets, 2), f'load_from={checkpoint}')
    assert run.returncode == 0, run.stderr[-2000:]
    assert f'Loaded student from {checkpoint}' in run.stdout + run.stderr
    assert f'{checkpoint} has no teacher: it starts as the student' in run.stdout + run.stderr
    assert (tmp_path / 'run' / 'iter_2.pth').is_file()
    # The tables of both checkpoints, under the config of the other method.
    for config, path in ((CONFIG, checkpoint), ('configs/streets_source_only.py', tmp_path / 'run' / 'iter_2.pth')):
        table = call('test.py', config, path, '--cfg-options', f'test_dataloader.dataset.data_root={streets}')
        assert table.returncode == 0 and 'pixel accuracy' in table.stdout, table.stderr[-2000:]
    teacher = call(
        'test.py',
        CONFIG,
        checkpoint,
        '--branch',
        'teacher',
        '--cfg-options',
        f'test_dataloader.dataset.data_root={streets}',
    )
    assert teacher.returncode != 0 and 'has no teacher to test: test its student' in teacher.stdout + teacher.stderr
