import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from udass.cli.command import run_command, short_message


class Broken(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise ValueError('pictures/3.png is truncated: copy it again')


def test_an_error_of_a_loader_worker_is_its_message_alone():
    with pytest.raises(ValueError) as error:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert 'Traceback' in str(error.value)
    assert short_message(error.value) == 'pictures/3.png is truncated: copy it again'


def test_tools_end_with_one_message_and_status_1(monkeypatch):
    def fail():
        raise KeyError('QuadMox is not in the registry')

    with pytest.raises(SystemExit) as stop:
        run_command(fail)
    assert stop.value.code.startswith('error: QuadMox is not in the registry\n')
    monkeypatch.setenv('UDASS_DEBUG', '1')
    with pytest.raises(KeyError):
        run_command(fail)


def test_ctrl_c_before_the_training_ends_with_status_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run_command(interrupted)
    assert stop.value.code == 130


def test_sigterm_before_the_training_ends_with_status_143(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert stop.value.code == 143 and 'Terminated' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
