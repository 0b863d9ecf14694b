from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.engine.toys import toy_config, train, write_toy_data


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of toy images and labels."""
    return write_toy_data(tmp_path_factory.mktemp('toy'))


@pytest.fixture(scope='session')
def nine_iterations(toy_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The runner of an uninterrupted training of nine iterations."""
    return train(toy_config(toy_root, tmp_path_factory.mktemp('nine'), max_iters=9))


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine asks compilers for their versions at every start: a second each time."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
