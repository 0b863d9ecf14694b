import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from udass.cli import UsageError, env, short_message
from udass.cli.main import main

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch):
    """Runs a function in place of a command."""

    def run(function, *arguments):
        monkeypatch.setattr(env, 'run', lambda args: function())
        main(['env', *arguments])

    return run


class Broken(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise ValueError('images/3.png is truncated: copy it again')


def test_an_error_of_a_loader_worker_is_its_message_alone():
    with pytest.raises(ValueError) as error:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert 'Traceback' in str(error.value)
    assert short_message(error.value) == 'images/3.png is truncated: copy it again'


def test_commands_end_with_one_message_and_status_1(run, monkeypatch):
    def fail():
        raise KeyError('QuadMox is not in the registry')

    with pytest.raises(SystemExit) as stop:
        run(fail)
    assert stop.value.code.startswith('error: QuadMox is not in the registry\n')
    monkeypatch.setenv('UDASS_DEBUG', '1')
    with pytest.raises(KeyError):
        run(fail)


def test_arguments_that_do_not_go_together_end_with_the_usage_and_status_2(run, capsys):
    def fail():
        raise UsageError('leave --json out')

    with pytest.raises(SystemExit) as stop:
        run(fail)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith('usage: ') and said.endswith('error: leave --json out\n')


def test_whoever_reads_only_the_first_lines_gets_no_error():
    code = "from udass.cli import env; env.run = lambda args: print('a line\\n' * 100_000); "
    code += "from udass.cli.main import main; main(['env'])"
    environment = {**os.environ, 'PYTHONPATH': str(PROJECT)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, '-c', code], stdout=pipe, stderr=pipe, env=environment) as process:
        assert process.stdout.readline() == b'a line\n'
        process.stdout.close()
        assert process.stderr.read() == b'' and process.wait() == 141


def test_ctrl_c_before_the_training_ends_with_status_130(run, capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run(interrupted)
    assert stop.value.code == 130


def test_sigterm_before_the_training_ends_with_status_143(run, capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert stop.value.code == 143 and 'Terminated' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_gets_its_arguments_parsed_and_as_they_were_given(monkeypatch):
    monkeypatch.setenv('UDASS_DEBUG', '0')
    got = []
    monkeypatch.setattr(env, 'run', got.append)
    main(['env', '--debug', '--debug'])
    assert got == [argparse.Namespace(command='env', arguments=['--debug'] * 2, debug=True)]
