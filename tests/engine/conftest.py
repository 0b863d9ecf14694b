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
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch gives each loader worker that hangs 5 seconds to end by itself."""
    monkeypatch.setattr('torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL', 0.5)
