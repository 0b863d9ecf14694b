"""``udass.train`` and ``udass.test`` as a notebook calls them."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

import udass
from tests.engine.toys import toy_config, write_toy_data
from udass.cli.train import build_config


def test_train_gives_the_checkpoint_that_test_takes(tmp_path, capsys):
    config = toy_config(write_toy_data(tmp_path / 'data'), tmp_path / 'unused', max_iters=2)
    last = udass.train(config, work_dir=tmp_path / 'run', seed=3)
    assert last == tmp_path / 'run' / 'iter_2.pth'
    config.dump(tmp_path / 'toy.py')
    scores = udass.test(tmp_path / 'toy.py', last, work_dir=tmp_path / 'test', out=tmp_path / 'images')
    assert set(scores['IoU']) == {'dark', 'middle', 'bright'} and 0 <= scores['mIoU'] <= 100
    assert f'{scores["mIoU"]:.2f}' in capsys.readouterr().out and len(list((tmp_path / 'images').iterdir())) == 8
    options = {'train_cfg.max_iters': 3}
    assert udass.train(config, work_dir=tmp_path / 'run', seed=3, resume=True, options=options).name == 'iter_3.pth'
    # The given config is copied.
    assert config.train_cfg.max_iters == 2 and config.work_dir == str(tmp_path / 'unused')


def test_a_config_without_a_file_gets_a_work_dir_of_its_own(tmp_path):
    assert build_config(Config({'randomness': {}})).work_dir == 'work_dirs/config'


IMPORTS = """
import sys, udass
assert 'torch' not in sys.modules
udass.test
import udass.all_modules, mmengine.logging.logger
assert 'torch' in sys.modules and not hasattr(mmengine.logging.logger, 'print')
# LoRA installs transformers, of which mmengine would take one optimizer at every start.
assert 'transformers' not in sys.modules
from mmengine.registry import OPTIMIZERS
assert OPTIMIZERS.get('transformers.Adafactor').__name__ == 'Adafactor'
"""


def test_imports_come_when_they_are_needed_and_print_nothing():
    project = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, '-c', IMPORTS], capture_output=True, text=True, cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_other_names_are_errors_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'udass' has no attribute 'trian'"):
        udass.trian  # noqa: B018
