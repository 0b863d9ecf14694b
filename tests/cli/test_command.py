import argparse
import os
import signal
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from udass.cli import UsageError, command, new_parser, short_message


def run(function):
    command(lambda: new_parser('A test.', 'a_test.py'), lambda args: function())([])


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


def test_commands_end_with_one_message_and_status_1(monkeypatch):
    def fail():
        raise KeyError('QuadMox is not in the registry')

    with pytest.raises(SystemExit) as stop:
        run(fail)
    assert stop.value.code.startswith('error: QuadMox is not in the registry\n')
    monkeypatch.setenv('UDASS_DEBUG', '1')
    with pytest.raises(KeyError):
        run(fail)


def test_arguments_that_do_not_go_together_end_with_the_usage_and_status_2(capsys):
    def fail():
        raise UsageError('leave --json out')

    with pytest.raises(SystemExit) as stop:
        run(fail)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith('usage: ') and said.endswith('error: leave --json out\n')


def test_ctrl_c_before_the_training_ends_with_status_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run(interrupted)
    assert stop.value.code == 130


def test_sigterm_before_the_training_ends_with_status_143(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert stop.value.code == 143 and 'Terminated' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_gets_its_arguments_parsed_and_as_they_were_given(monkeypatch):
    monkeypatch.setenv('UDASS_DEBUG', '0')
    got = []
    command(lambda: new_parser('A test.', 'a_test.py'), got.append)(['--debug'] * 2)
    assert got == [argparse.Namespace(arguments=['--debug'] * 2, debug=True)]


def test_help_imports_no_torch():
    """So that it appears at once."""
    code = """
import importlib, sys
for name in 'train test infer seeds report flow check convert demo browse streets env'.split():
    importlib.import_module(f'udass.cli.{name}').parser().format_help()
sys.exit('torch' in sys.modules)
"""
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
