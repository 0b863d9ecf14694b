import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from udass.cli.experiments import experiment
from udass.cli.experiments.experiment import (
    ExperimentFailed,
    read_counts,
    read_result,
    read_validations,
    run_experiment,
    run_process,
)
from udass.cli.main import main
from udass.evaluation.counts import ImageCounts


@pytest.fixture(autouse=True)
def fake_commands(monkeypatch):
    """Stand-ins for train and test that write what those would."""

    def train(arguments):
        time.sleep(0.05)
        folder = Path(arguments[arguments.index('--work-dir') + 1])
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / 'calls.txt', 'a') as file:
            file.write(json.dumps(arguments) + '\n')
        logs = folder / 'time' / 'vis_data'
        logs.mkdir(parents=True, exist_ok=True)
        lines = '{"loss": 1.0, "step": 5}', '{"mIoU": 30.5, "step": 5}', '{"mIoU": 29.0, "step": 10}'
        (logs / 'scalars.json').write_text('\n'.join(lines))
        (folder / 'iter_10.pth').touch()
        (folder / 'last_checkpoint').write_text(str(folder / 'iter_10.pth'))
        if (folder / 'error').exists():
            raise {'130': KeyboardInterrupt, '1': ExperimentFailed}[(folder / 'error').read_text()]

    def test(arguments):
        result = {'checkpoint': arguments[1], 'mIoU': 41.0, 'arguments': arguments}
        Path(arguments[arguments.index('--json') + 1]).write_text(json.dumps(result))

    commands = {'train': train, 'test': test}
    monkeypatch.setattr(experiment, 'run_tool', lambda name, arguments: commands[name](arguments))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'toy.py'
    path.write_text('model = dict()\ntrain_cfg = dict(max_iters=10)\n')
    return str(path)


def calls(folder):
    return [json.loads(line) for line in (folder / 'calls.txt').read_text().splitlines()]


def test_a_run_trains_tests_and_records_its_scores(config, tmp_path):
    folder = tmp_path / 'run'
    result = run_experiment(config, 3, folder, ['train_cfg.max_iters=5'])
    expected = [config, '--work-dir', str(folder), '--seed', '3', '--cfg-options', 'train_cfg.max_iters=5']
    assert calls(folder) == [expected]
    assert result['mIoU'] == 41.0 and result['seed'] == 3 and result['checkpoint'] == 'iter_10.pth'
    assert result['validations'] == [[5, 30.5], [10, 29.0]]
    assert 0 < result['train_seconds'] < 60 and result['train_sessions'] == 1
    assert read_result(folder) == json.loads(json.dumps(result))


def test_what_was_just_validated_is_not_tested_again(config, tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    scores = {'iteration': 10, 'is_test': True, 'images': 8, 'branch': 'student', 'mIoU': 29.0, 'IoU': {'a': 29.0}}
    (folder / 'validation.json').write_text(json.dumps(scores))
    (folder / 'validation.details.json').write_text(json.dumps({'images': []}))
    ImageCounts(['x.png'], ['a'], np.full((1, 1, 1), 7)).write(folder / 'validation.counts.npz')
    result = run_experiment(config, 3, folder)
    assert 'arguments' not in result and result['mIoU'] == 29.0 and result['IoU'] == {'a': 29.0}
    assert result['checkpoint'] == 'iter_10.pth' and result['images'] == 8 and 'is_test' not in result
    assert json.loads((folder / 'test.json').read_text())['config'] == config
    assert json.loads((folder / 'test.details.json').read_text()) == {'images': []}
    assert read_counts(folder).confusion.tolist() == [[[7]]]
    # Predictions are made by a test only.
    assert run_experiment(config, 3, folder, predictions=True)['mIoU'] == 41.0


@pytest.mark.parametrize(
    'scores',
    [
        {'iteration': 5, 'is_test': True, 'mIoU': 29.0},
        '{"iteration"',
        {'iteration': 10, 'is_test': False, 'mIoU': 29.0},
    ],
)
def test_another_validation_is_no_test(config, tmp_path, scores):
    folder = tmp_path / 'run'
    folder.mkdir()
    (folder / 'validation.json').write_text(scores if isinstance(scores, str) else json.dumps(scores))
    assert run_experiment(config, 3, folder)['mIoU'] == 41.0


def test_a_finished_run_is_not_repeated_and_other_settings_are_refused(config, tmp_path):
    folder = tmp_path / 'run'
    first = run_experiment(config, 0, folder)
    assert run_experiment(config, 0, folder) == first
    assert len(calls(folder)) == 1
    with pytest.raises(ValueError, match='holds a run with other settings'):
        run_experiment(config, 1, folder)
    Path(config).write_text('model = dict()\ntrain_cfg = dict(max_iters=20)\n')
    with pytest.raises(ValueError, match='holds a run with other settings'):
        run_experiment(config, 0, folder)


def test_an_interrupted_run_goes_on_and_its_times_add_up(config, tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    (folder / 'error').write_text('130')
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, 0, folder)
    spent = json.loads((folder / 'progress.json').read_text())['train_seconds']
    assert spent > 0 and read_result(folder) is None
    (folder / 'error').unlink()
    result = run_experiment(config, 0, folder)
    assert '--resume' not in calls(folder)[0] and '--resume' in calls(folder)[1]
    assert result['train_sessions'] == 2 and result['train_seconds'] > spent


def test_a_failure_is_told_from_an_interrupt():
    with pytest.raises(ExperimentFailed, match=r'train no\.py ended with status 1'):
        run_process([sys.executable, '-c', 'raise SystemExit(1)', 'train', 'no.py'])
    with pytest.raises(KeyboardInterrupt):
        run_process([sys.executable, '-c', 'raise SystemExit(130)'])


def test_a_finished_run_is_tested_again_for_predictions(config, tmp_path):
    folder = tmp_path / 'run'
    assert '--cfg-options' not in run_experiment(config, 0, folder)['arguments']
    result = run_experiment(config, 0, folder, predictions=True)
    assert result['arguments'][-2:] == ['--predictions', str(folder / 'predictions')]
    assert len(calls(folder)) == 1


def test_validations_of_several_sessions_are_one_record(tmp_path):
    sessions = {'1': ['{"mIoU": 1, "step": 5}', '{"mIoU": 2, "step": 10}'], '2': ['{"mIoU": 3, "step": 10}']}
    for name, lines in sessions.items():
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        (tmp_path / name / 'vis_data' / 'scalars.json').write_text('\n'.join(lines))
    assert read_validations(tmp_path) == [[5, 1.0], [10, 3.0]]


def test_ctrl_c_is_handed_to_the_process_which_may_finish(tmp_path):
    script = tmp_path / 'slow.py'
    script.write_text("""
import signal, sys, time
def save(signum, frame):
    open(sys.argv[1], 'w').write('saved')
    sys.exit(130)
signal.signal(signal.SIGINT, save)
open(sys.argv[1] + '.ready', 'w').close()
time.sleep(60)
""")

    def interrupt():
        while not (tmp_path / 'out.ready').exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_process([sys.executable, str(script), str(tmp_path / 'out')])
    thread.join()
    assert (tmp_path / 'out').read_text() == 'saved'
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_real_training_saves_and_resumes(tmp_path, capfd):
    from tests.engine.toys import toy_config, write_toy_data

    project = Path(__file__).parents[2]
    config = toy_config(write_toy_data(tmp_path / 'data'), tmp_path / 'unused', max_iters=4000, num_workers=1)
    config.train_cfg.val_begin, config.log_level = 10000, 'INFO'
    config.dump(tmp_path / 'toy.py')
    command = [sys.executable, '-m', 'udass', 'train', str(tmp_path / 'toy.py'), '--work-dir']
    command += [str(tmp_path / 'run'), '--cfg-options', 'default_hooks.checkpoint.interval=100000']
    environment = {**os.environ, 'PYTHONPATH': str(project)}
    # In a session of its own, so that the signal reaches the loader workers as from a terminal, but not this test.
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if 'Iter(train) [  20/' in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    output = process.stdout.read()
    assert process.wait() == 130
    assert f'Resume with: udass train {tmp_path / "toy.py"}' in output
    assert output.rstrip().endswith('--resume')
    saved = Path((tmp_path / 'run' / 'last_checkpoint').read_text())
    reached = int(saved.stem.removeprefix('iter_'))
    assert 20 <= reached < 4000
    command[command.index('default_hooks.checkpoint.interval=100000')] = f'train_cfg.max_iters={reached + 2}'
    main([*command[3:], '--resume'])
    assert f'Iter(train) [{reached + 2}/{reached + 2}]' in capfd.readouterr().out
    assert (tmp_path / 'run' / f'iter_{reached + 2}.pth').exists()
