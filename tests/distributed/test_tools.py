"""Runs of two processes through the tools: killed and resumed, tested, continued on one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.distributed.processes import run_command
from tests.distributed.small_run import PIXELS, small_config
from tests.engine.toys import write_toy_data
from tests.integration.test_training import assert_same_state
from udass.cli.main import main
from udass.models.checkpoints import read_checkpoint

PROJECT = Path(__file__).parents[2]


def call(*command, status=0, **variables):
    """Output of a command, with variables in its environment."""
    environment = {
        **os.environ,
        'PYTHON': sys.executable,
        'PYTHONPATH': str(PROJECT),
        'OMP_NUM_THREADS': '1',
        **variables,
    }
    done = subprocess.run(
        [*map(str, command)], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert (done.returncode == 0) == (status == 0), done.stdout[-3000:] + done.stderr[-5000:]
    return done.stdout + done.stderr


def run_two(command, *arguments, folder, status=0):
    """Output of two processes of a command."""
    codes, said = run_command(main, command, *arguments, log=folder / 'log')
    assert any(codes) == bool(status), f'{codes} {said[-5000:]}'
    return said


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Folder with a config file, and an uninterrupted run of two processes in ``whole``."""
    folder = tmp_path_factory.mktemp('small')
    # An odd number: one of the processes tests a picture twice.
    small_config(write_toy_data(folder / 'data', count=7, size=PIXELS), folder / 'whole').dump(folder / 'small.py')
    run_two('train', folder / 'small.py', folder=folder)
    return folder


def without_times(checkpoint):
    """What must be equal: no names of folders, no times."""
    hub = checkpoint['message_hub']
    hub['runtime_info'].pop('last_ckpt', None)
    logs = {key: value for key, value in hub['log_scalars'].items() if 'time' not in key}
    kept = {key: value for key, value in checkpoint.items() if key not in ('meta', 'message_hub')}
    meta = {key: checkpoint['meta'][key] for key in ('iter', 'seed', 'random_states', 'rank_states')}
    return kept, meta, logs


@pytest.mark.parametrize('given, seconds', [(None, '120'), ('7', '7')])
def test_processes_get_time_to_save_from_any_version_of_torchrun(given, seconds, tmp_path, monkeypatch):
    """What the script starts: options of torchrun that torch 2.4 knows, and the time in the environment."""
    monkeypatch.delenv('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', raising=False)
    if given is not None:
        monkeypatch.setenv('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', given)
    said = call('tools/dist_train.sh', 'c.py', 2, '--seed', '1', PYTHON=echoing(tmp_path))
    torchrun = [seconds, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    assert said.split() == [*torchrun, '-m', 'udass', 'train', 'c.py', '--seed', '1', '--launcher', 'pytorch']


def echoing(folder):
    """A file in place of Python that writes what it is called with."""
    path = folder / 'python'
    path.write_text('#!/bin/sh\necho "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_the_script_for_tests_starts_as_many_processes_of_the_tool(tmp_path):
    said = call('tools/dist_test.sh', 'c.py', 'a.pth', 2, '--json', 'b.json', PYTHON=echoing(tmp_path))
    command = ['-m', 'udass', 'test', 'c.py', 'a.pth', '--json', 'b.json', '--launcher', 'pytorch']
    assert said.split()[-10:] == ['2', *command]


@pytest.mark.slow
@pytest.mark.parametrize('end, saved', [('Kill', 4), ('Terminate', 5), ('BreakLoader', 4)])
def test_an_ended_and_resumed_run_of_two_equals_the_uninterrupted_one(small, end, saved):
    config = small_config(small / 'data', small / end)
    config.custom_hooks = [dict(type=end, iteration=5)]
    config.dump(small / f'{end}.py')
    if end == 'Kill':
        # torchrun ends the other one.
        log = call('tools/dist_train.sh', small / f'{end}.py', 2, status=1)
    else:
        log = run_two('train', small / f'{end}.py', folder=small, status=1)
    assert (small / end / 'last_checkpoint').read_text().endswith(f'iter_{saved}.pth'), log[-3000:]
    if end == 'BreakLoader':
        assert 'a file that cannot be read' in log and 'Stopped after iteration 4 of 6, saved as' in log
    if end == 'Terminate':
        assert 'Resume with: the same command with --resume, on each machine' in log
    log = run_two('train', small / 'small.py', '--work-dir', small / end, '--resume', folder=small / end)
    assert f'Continuing the data streams after iteration {saved}' in log
    first, second = (read_checkpoint(small / run / 'iter_6.pth') for run in ('whole', end))
    if saved % 2:
        # Within an interval of the log; its mean then has the rest of the interval only.
        assert_same_state(without_times(second)[:2], without_times(first)[:2])
    else:
        assert_same_state(without_times(second), without_times(first))
    states = first['meta']['rank_states']
    # The templates and the random streams of the two are not the same ones.
    assert len(states) == 2
    assert not torch.equal(*(state['mixing.bank._extra_state']['source']['frames'] for state in states))
    assert not torch.equal(*(state['_extra_state']['generator'] for state in states))


@pytest.mark.slow
def test_checkpoints_of_one_and_two_processes_are_interchangeable(small, tmp_path, capfd):
    data = small / 'data'
    single, double = tmp_path / 'single', tmp_path / 'double'
    config = small_config(data, single, max_iters=8)
    config.dump(tmp_path / 'small.py')
    two = read_checkpoint(small / 'whole' / 'iter_6.pth')
    main(['train', str(tmp_path / 'small.py'), '--resume', str(small / 'whole' / 'iter_6.pth')])
    log = capfd.readouterr().out
    assert 'was written by 2 processes, this run has 1' in log and '1/2 as many images' in log
    one = read_checkpoint(single / 'iter_8.pth')
    assert list(one['state_dict']) == list(two['state_dict'])
    assert one['meta'].keys() == two['meta'].keys()
    assert one['optimizer']['param_groups'][0]['params'] == two['optimizer']['param_groups'][0]['params']
    assert one['meta']['rank_states'] == [{}] and one['state_dict']['ema._extra_state']['steps'] == 8
    options = ['--cfg-options', 'train_cfg.max_iters=10', 'param_scheduler.0.end=10']
    resume = ['--work-dir', double, '--resume', single / 'iter_8.pth']
    log = run_two('train', tmp_path / 'small.py', *resume, *options, folder=tmp_path)
    assert 'was written by 1 processes, this run has 2' in log
    assert read_checkpoint(double / 'iter_10.pth')['state_dict']['_extra_state']['iteration'] == 10


@pytest.mark.slow
def test_processes_with_other_settings_or_data_are_refused(small, tmp_path):
    config = small_config(small / 'data', tmp_path / 'run')
    config.train_dataloader.target.dataset.type = 'OneLess'
    config.dump(tmp_path / 'data.py')
    log = run_two('train', tmp_path / 'data.py', folder=tmp_path, status=1)
    assert 'the data of target is 7 samples' in log and 'in process 0 and 6 samples' in log
    text = (small / 'small.py').read_text()
    (tmp_path / 'rate.py').write_text(
        f"import os\n{text}\nwork_dir = '{tmp_path}/rate'\n"
        "optim_wrapper['optimizer']['lr'] = 0.01 * (1 + int(os.environ['RANK']))\n"
    )
    log = run_two('train', tmp_path / 'rate.py', folder=tmp_path, status=1)
    assert 'optim_wrapper.optimizer.lr is 0.01 in process 0 and 0.02 in process 1' in log
    assert not list(tmp_path.glob('*/*.pth'))


@pytest.mark.slow
def test_all_processes_resume_what_the_main_one_finds(small, tmp_path):
    """The work dir of another machine may be empty, or another folder."""
    text = (small / 'small.py').read_text()
    (tmp_path / 'apart.py').write_text(
        f"import os\n{text}\nwork_dir = '{tmp_path}/run' + os.environ['RANK']\n"
        "train_cfg['max_iters'] = param_scheduler[0]['end'] = 8\n"
    )
    shutil.copytree(small / 'whole', tmp_path / 'run0')
    log = run_two('train', tmp_path / 'apart.py', '--resume', folder=tmp_path)
    assert f'Loaded {tmp_path / "run0" / "iter_6.pth"}' in log
    assert read_checkpoint(tmp_path / 'run0' / 'iter_8.pth')['state_dict']['_extra_state']['iteration'] == 8
    assert not list((tmp_path / 'run1').glob('*.pth'))


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [1, 2])
def test_two_processes_test_like_one(small, tmp_path, batch_size):
    arguments = (small / 'small.py', small / 'whole' / 'iter_6.pth')
    options = ('--work-dir', tmp_path, '--cfg-options', f'test_dataloader.batch_size={batch_size}')
    main(['test', *map(str, (*arguments, *options)), '--json', str(tmp_path / 'one.json')])
    run_two('test', *arguments, *options, '--json', tmp_path / 'two.json', folder=tmp_path)
    one, two = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('one', 'two'))
    assert one['images'] == 7 and one == two
