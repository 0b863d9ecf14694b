"""What a terminal, a pipe and the log file get of a training."""

import io
import re

import pytest

from tests.engine.toys import build_runner, toy_config, write_toy_data
from udass.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp('data'))


def trained(data, folder, stream, capsys):
    """What the log writes to the stream of the process, and to its file."""
    config = toy_config(data, folder, max_iters=4)
    config.log_level, config.default_hooks.logger.interval, config.train_cfg.val_interval = 'INFO', 2, 4
    runner = build_runner(config)
    with progress(runner, stream):
        runner.train()
    return capsys.readouterr().out, next(folder.glob('2*/*.log')).read_text()


def test_a_terminal_gets_bars_and_the_file_the_lines(data, tmp_path, capsys):
    terminal = Terminal()
    out, log = trained(data, tmp_path, terminal, capsys)
    bar = terminal.getvalue().split('\r')[-1]
    assert re.search(r'train: 100%.* 4/4 \[.*, loss=\d\.\d{3}, memory=\d+\.\d GiB\]', bar), bar
    assert 'val:' in terminal.getvalue()
    assert 'eta: ' not in out and 'Saving checkpoint at 4 iterations' in out and 'mIoU: ' in out
    assert log.count('Iter(train)') == 2 and 'Iter(val)' in log


def test_a_pipe_gets_the_lines(data, tmp_path, capsys):
    pipe = io.StringIO()
    out, _ = trained(data, tmp_path, pipe, capsys)
    assert pipe.getvalue() == '' and out.count('Iter(train)') == 2


def test_details_are_in_the_file_only(data, tmp_path, capsys):
    out, log = trained(data, tmp_path, io.StringIO(), capsys)
    for line in ('Distributed training is not used', 'Hooks will be executed', 'before_train_iter:'):
        assert line in log and line not in out


def test_the_bars_are_gone_after_an_error(data, tmp_path):
    runner = build_runner(toy_config(data, tmp_path, max_iters=4))
    streams = [handler.stream for handler in runner.logger.handlers]
    with pytest.raises(ValueError, match='stop'), progress(runner, Terminal()):
        raise ValueError('stop')
    assert [handler.stream for handler in runner.logger.handlers] == streams
