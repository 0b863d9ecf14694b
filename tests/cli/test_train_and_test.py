import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS, RUNNERS

from tests.cli.calls import call, parse
from tests.engine.toys import toy_config, train, write_toy_data
from udass.cli import UsageError
from udass.cli import test as test_tool
from udass.cli import train as train_tool
from udass.cli.main import main
from udass.engine.config import load_config

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """A config file and a checkpoint of it."""
    folder = tmp_path_factory.mktemp('toy')
    config = toy_config(write_toy_data(folder / 'data'), folder / 'run', max_iters=2)
    config.dump(folder / 'toy.py')
    train(config)
    return folder


def train_config(*arguments):
    args = parse('train', *arguments)
    options = dict(work_dir=args.work_dir, options=args.cfg_options, seed=args.seed, amp=args.amp)
    resume = args.resume == 'latest' or args.resume or False
    launched = dict(deterministic=args.deterministic, launcher=args.launcher)
    return train_tool.build_config(args.config, resume=resume, **options, **launched)


def test_the_command_line_of_training_changes_the_config(toy, monkeypatch):
    def built(*arguments):
        return train_config(toy / 'toy.py', *arguments)

    config = built('--work-dir', 'somewhere', '--seed', '5', '--cfg-options', 'train_cfg.max_iters=7')
    assert (config.work_dir, config.train_cfg.max_iters, config.resume) == ('somewhere', 7, False)
    assert config.randomness.seed == 5
    assert built().randomness.seed == 0
    assert (built('--resume').resume, built('--resume').load_from) == (True, None)
    assert (built('--resume', 'a.pth').resume, built('--resume', 'a.pth').load_from) == (True, 'a.pth')
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':16:8')
    deterministic = built('--deterministic')
    assert deterministic.randomness.deterministic and not deterministic.env_cfg.cudnn_benchmark
    assert built('--launcher', 'slurm').launcher == 'slurm'
    assert built().get('amp') is None and built('--amp', 'fp16').amp == 'fp16'
    assert built('--cfg-options', 'amp=bf16', 'channels_last=True', 'tf32=True', 'compile=True').amp == 'bf16'
    with pytest.raises(SystemExit):
        built('--amp', 'fp8')


def test_a_first_start_with_resume_starts_from_load_from(toy, tmp_path):
    def built(work_dir):
        options = ('--work-dir', work_dir, '--cfg-options', 'load_from=mic.pth')
        config = train_config(toy / 'toy.py', '--resume', *options)
        return config.resume, config.load_from

    assert built(tmp_path) == (False, 'mic.pth')
    assert built(toy / 'run') == (True, None)


def test_the_work_dir_is_named_after_the_config(tmp_path, toy):
    config = Config.fromfile(toy / 'toy.py')
    config.pop('work_dir')
    config.dump(tmp_path / 'my_method.py')
    assert train_config(tmp_path / 'my_method.py').work_dir == 'work_dirs/my_method'


@pytest.mark.parametrize(
    'given, kept',
    [
        (['c.py', '--seed', '1'], 'c.py --seed 1'),
        (['c.py', '--resume'], 'c.py'),
        (['c.py', '--resume', 'a.pth', '--amp', 'bf16'], 'c.py --amp bf16'),
        (['c.py', '--resume=a.pth'], 'c.py'),
        (['c.py', '--resume', 'latest'], 'c.py'),
        (['--resume', 'latest', 'c.py'], 'c.py'),
        (['c.py', '--resume', '--amp', 'bf16'], 'c.py --amp bf16'),
    ],
)
def test_the_command_to_resume_is_complete(given, kept):
    assert parse('train', *given).config == 'c.py'
    assert train_tool.command_to_resume(given) == f'udass train {kept} --resume'


def test_an_interrupted_training_says_how_to_go_on(toy, monkeypatch):
    logged = []

    def interrupted():
        raise SystemExit(130)

    runner = SimpleNamespace(
        train=interrupted,
        logger=SimpleNamespace(info=logged.append),
        host_exchange=SimpleNamespace(wait=lambda: None),
    )
    monkeypatch.setattr(RUNNERS, 'build', lambda config: runner)
    for arguments in ([], ['--launcher', 'pytorch']):
        with pytest.raises(SystemExit):
            main(['train', str(toy / 'toy.py'), *arguments])
    command = f'udass train {toy / "toy.py"} --resume'
    assert logged == [f'Resume with: {command}', 'Resume with: the same command with --resume, on each machine']


def test_the_test_tool_prints_the_table_and_writes_json_and_images(toy, tmp_path, capsys):
    files = ('--json', tmp_path / 'new' / 'a.json', '--show-dir', tmp_path / 'shown', '--predictions', tmp_path / 'ids')
    call(test_tool, toy / 'toy.py', toy / 'run' / 'iter_2.pth', '--work-dir', tmp_path, *files)
    printed, progress = capsys.readouterr()
    assert '%' not in progress, 'bars are for terminals'
    result = json.loads((tmp_path / 'new' / 'a.json').read_text())
    assert result['images'] == 8 and result['branch'] == 'student'
    assert set(result['IoU']) == {'dark', 'middle', 'bright'}
    assert f'{result["mIoU"]:.2f}' in next(line for line in printed.splitlines() if 'mean' in line)
    assert 'Iter(test)' not in printed
    assert len(list((tmp_path / 'shown').iterdir())) == len(list((tmp_path / 'ids').iterdir())) == 8
    details = json.loads((tmp_path / 'new' / 'a.details.json').read_text())
    assert details['classes'] == ['dark', 'middle', 'bright'] and len(details['images']) == 8
    found = sum(details['confusion'][number][number] for number in range(3))
    assert 100 * found / sum(map(sum, details['confusion'])) == pytest.approx(result['pixel_accuracy'], abs=1e-3)


def test_predictions_are_named_by_their_place_below_the_folder_of_images(toy, tmp_path):
    images = Path(load_config(toy / 'toy.py').test_dataloader.dataset.data_root) / 'images'
    config = test_tool.build_config(toy / 'toy.py', 'any.pth')
    test_tool.write_predictions(config, 'ids')
    assert config.test_evaluator == dict(type='ClassIoUMetric', output_dir='ids', image_root=str(images))
    # Of data sets that are joined, below what they have in common.
    first, second = (
        dict(config.test_dataloader.dataset, data_prefix=dict(img_path=f'images/{part}')) for part in ('day', 'night')
    )
    joined = dict(type='ConcatDataset', datasets=[first, dict(type='RepeatDataset', dataset=second, times=2)])
    folders = test_tool.image_folders(joined, 'mmseg')
    assert folders == [f'{images}/day', f'{images}/night']


@pytest.fixture
def joined(toy, tmp_path):
    """The config with two test sets: two and six of the images, by the names day and night."""
    config = Config.fromfile(toy / 'toy.py')
    dataset = config.test_dataloader.dataset
    parts = [{**dataset, 'indices': indices} for indices in ([0, 1], [2, 3, 4, 5, 6, 7])]
    config.test_dataloader.dataset = dict(type='ConcatDataset', names=['day', 'night'], datasets=parts)
    config.dump(tmp_path / 'joined.py')
    return tmp_path / 'joined.py'


def test_one_test_reports_several_data_sets_side_by_side(toy, joined, tmp_path, capsys):
    options = ('--work-dir', tmp_path, '--json')
    call(
        test_tool, joined, toy / 'run' / 'iter_2.pth', *options, tmp_path / 'a.json', '--predictions', tmp_path / 'ids'
    )
    printed = capsys.readouterr().out
    assert ' day | night | mean of 2 |' in printed and len(list((tmp_path / 'ids').rglob('*.png'))) == 8
    result = json.loads((tmp_path / 'a.json').read_text())
    assert list(result['datasets']) == ['day', 'night'] and result['images'] == 8
    # As each would be tested alone.
    for number, name in enumerate(('day', 'night')):
        alone = Config.fromfile(joined)
        alone.test_dataloader.dataset = alone.test_dataloader.dataset.datasets[number]
        alone.dump(tmp_path / f'{name}.py')
        call(test_tool, tmp_path / f'{name}.py', toy / 'run' / 'iter_2.pth', *options, tmp_path / f'{name}.json')
        content = json.loads((tmp_path / f'{name}.json').read_text())
        assert {key: content[key] for key in result['datasets'][name]} == result['datasets'][name]
        assert result[f'mIoU_{name}'] == content['mIoU']


def test_a_submission_is_about_one_data_set(toy, joined):
    with pytest.raises(ValueError, match='about one data set, but test_dataloader.dataset is a ConcatDataset'):
        call(test_tool, joined, toy / 'run' / 'iter_2.pth', '--submission', joined.parent / 'a.zip')


def test_predictions_need_the_metric_that_writes_them(toy):
    options = ('--predictions', 'ids', '--cfg-options', 'test_evaluator.type=IoUMetric')
    with pytest.raises(ValueError, match='--predictions needs a ClassIoUMetric in test_evaluator, which has IoUMetric'):
        call(test_tool, toy / 'toy.py', 'any.pth', *options)


@pytest.mark.parametrize(
    'options, named',
    [
        (['--json', 'a.json'], '--json'),
        (['--predictions', 'ids'], '--predictions'),
        (['--json', 'a.json', '--predictions', 'ids'], '--json and --predictions'),
    ],
)
def test_a_submission_is_written_without_what_would_be_ignored(options, named):
    with pytest.raises(UsageError, match=f'writes no scores and only its own files: leave {named} out'):
        call(test_tool, 'c.py', 'a.pth', '--submission', 'a.zip', *options)


@METRICS.register_module(force=True)
class CountImages(BaseMetric):
    """A second metric beside that of the IoU."""

    default_prefix = ''

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return {'TC': len(results) + 0.25}


def test_further_metrics_are_printed_and_written_beside_the_iou(toy, tmp_path, capsys):
    config = Config.fromfile(toy / 'toy.py')
    config.test_evaluator = [config.test_evaluator, dict(type='CountImages')]
    config.dump(tmp_path / 'two.py')
    files = ('--work-dir', tmp_path, '--json', tmp_path / 'a.json')
    call(test_tool, tmp_path / 'two.py', toy / 'run' / 'iter_2.pth', *files)
    result = json.loads((tmp_path / 'a.json').read_text())
    assert result['TC'] == 8.25 and 0 <= result['mIoU'] <= 100 and 'aAcc' not in result
    assert capsys.readouterr().out.splitlines()[-1] == 'TC 8.25'


def test_the_branch_is_chosen_in_the_model(toy):
    with pytest.raises(ValueError, match='model.eval_branch does not exist: ToyAdapter takes'):
        call(test_tool, toy / 'toy.py', toy / 'run' / 'iter_2.pth', '--branch', 'teacher', '--work-dir', toy / 'test')


@pytest.mark.parametrize(
    'command, arguments, message',
    [
        ('train', ['--cfg-options', 'train_cfg.max_iter=3'], 'error: option train_cfg.max_iter does not exist'),
        ('train', ['--resume', 'no.pth'], 'error: checkpoint no.pth does not exist'),
        ('test', ['no.pth'], 'error: checkpoint no.pth does not exist'),
    ],
)
def test_errors_are_one_message(toy, tmp_path, command, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main([command, str(toy / 'toy.py'), *arguments, '--work-dir', str(tmp_path)])
    assert message in stop.value.code and 'Traceback' not in stop.value.code


@pytest.mark.slow
def test_the_tool_as_a_program_ends_with_status_1(toy, tmp_path):
    command = [sys.executable, str(PROJECT / 'tools' / 'test.py'), str(toy / 'toy.py'), 'no.pth', '--debug']
    environment = {**os.environ, 'PYTHONPATH': str(PROJECT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.returncode == 1 and 'Traceback' in result.stderr
