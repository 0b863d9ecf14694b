from pathlib import Path

import pytest

from tests.engine.toys import write_toy_data


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of toy pictures and labels."""
    return write_toy_data(tmp_path_factory.mktemp('toy'))


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine asks compilers for their versions at every start: a second each time."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
