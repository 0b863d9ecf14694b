"""The commands on shipped configs and tiny street scenes, as a user calls them."""

import json
from pathlib import Path

import pytest

from tests.cli.calls import call
from udass.cli import convert, train
from udass.cli import test as test_command
from udass.cli.main import main

PROJECT = Path(__file__).parents[2]
QUADMIX, SOURCE_ONLY = 'configs/streets_quadmix.py', 'configs/streets_source_only.py'


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.chdir(PROJECT)


def settings(streets, iterations, config=QUADMIX):
    """Options of a short training."""
    loaders = ['train_dataloader.source', 'val_dataloader', 'test_dataloader']
    if config == QUADMIX:
        loaders += ['train_dataloader.target']
    return [
        *(['train_cfg.source_sampling.min_pixels=300'] if config == QUADMIX else []),
        *(f'{loader}.dataset.data_root={streets}' for loader in loaders),
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={iterations}',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=2',
    ]


def run_test(config, checkpoint, streets, *arguments):
    call(test_command, config, checkpoint, *arguments, '--cfg-options', f'test_dataloader.dataset.data_root={streets}')


@pytest.fixture(scope='module')
def start(street_domains, tmp_path_factory):
    """The checkpoint of a network that was trained on the source alone."""
    folder = tmp_path_factory.mktemp('start')
    config = PROJECT / SOURCE_ONLY
    call(train, config, '--work-dir', folder, '--cfg-options', *settings(street_domains, 2, SOURCE_ONLY))
    return folder / 'iter_2.pth'


@pytest.mark.slow
def test_train_resume_and_test_both_branches(street_domains, tmp_path, capfd):
    run = tmp_path / 'run'
    call(train, QUADMIX, '--work-dir', run, '--cfg-options', *settings(street_domains, 3))
    said = capfd.readouterr().out
    assert 'tst.decode.loss_ce' in said and 'eta' in said
    assert (run / 'panels' / 'iter_000003.png').is_file()
    call(train, QUADMIX, '--work-dir', run, '--resume', '--cfg-options', *settings(street_domains, 4))
    assert 'Continuing the data streams after iteration 3' in capfd.readouterr().out
    checkpoint, scores = run / 'iter_4.pth', {}
    for branch in ('student', 'teacher'):
        folder, out = tmp_path / branch, tmp_path / f'{branch}.json'
        arguments = ['--branch', branch, '--work-dir', run / 'test', '--json', out, '--show-dir', folder]
        run_test(QUADMIX, checkpoint, street_domains, *arguments)
        said = capfd.readouterr().out
        assert 'traffic light' in said and 'mean' in said
        assert len(list(folder.glob('*.png'))) == 2
        scores[branch] = json.loads(out.read_text())['IoU']
    assert scores['student'] != scores['teacher']
    # One bare segmentor, as convert_checkpoint.py writes it, is evaluated under the same config.
    bare, out = tmp_path / 'bare.pth', tmp_path / 'bare.json'
    call(convert, checkpoint, bare, '--branch', 'teacher')
    run_test(QUADMIX, bare, street_domains, '--work-dir', run / 'test', '--json', out)
    assert json.loads(out.read_text())['IoU'] == scores['teacher']


@pytest.mark.parametrize(
    'option, message',
    [
        ('train_dataloader.source.dataset.data_root=/nowhere', '/nowhere/game/train/images does not exist'),
        ('model.mixing.ratio=0.5', 'option model.mixing.ratio does not exist'),
        ('model.student.decode_head.num_classes=11', 'has num_classes=11, but'),
        ('train_dataloader.source.dataset.pipeline.3.crop_size=(999,999)', 'crop'),
        ('model.student.backbone.checkpoint=missing.pth', 'weight file missing.pth does not exist'),
    ],
)
def test_bad_input_ends_with_one_message(street_domains, tmp_path, option, message):
    key = option.split('=')[0]
    options = [given for given in settings(street_domains, 2) if given.split('=')[0] != key]
    with pytest.raises(SystemExit) as stop:
        main(['train', QUADMIX, '--work-dir', str(tmp_path), '--cfg-options', *options, option])
    # Python prints a message and ends with status 1.
    assert message in stop.value.code and 'Traceback' not in stop.value.code


@pytest.mark.slow
def test_checkpoint_of_another_network_is_refused_with_its_keys(start, street_domains, tmp_path):
    with pytest.raises(ValueError, match=rf'student of \S*{start.name} does not fit.*missing: backbone\.'):
        run_test('configs/streets_quadmix_mitb0.py', start, street_domains, '--work-dir', tmp_path)


@pytest.mark.slow
def test_one_method_starts_from_a_checkpoint_of_another(start, street_domains, tmp_path, capfd):
    """The published QuadMix starts from MIC; here the start is a network trained on the source alone."""
    run = tmp_path / 'run'
    call(train, QUADMIX, '--work-dir', run, '--cfg-options', *settings(street_domains, 2), f'load_from={start}')
    said = ''.join(capfd.readouterr())
    assert f'Loaded student from {start}' in said
    assert f'{start} has no teacher: it starts as the student' in said
    # The tables of both checkpoints, under the config of the other method.
    for config, checkpoint in ((QUADMIX, start), (SOURCE_ONLY, run / 'iter_2.pth')):
        run_test(config, checkpoint, street_domains, '--work-dir', tmp_path / 'test')
        assert 'pixel accuracy' in capfd.readouterr().out
    with pytest.raises(ValueError, match='has no teacher to test: test its student'):
        run_test(QUADMIX, start, street_domains, '--work-dir', tmp_path / 'test', '--branch', 'teacher')
