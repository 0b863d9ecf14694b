"""What several of the files here use: a finished run, and files that would do harm if they were run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

from tests.engine.toys import toy_config, train, write_toy_data
from tests.inference.conftest import image_run, streets  # noqa: F401
from udass.streets import write_streets


@pytest.fixture(scope='session')
def street_domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and clips of both domains, two batches for training and two images for a test."""
    root = tmp_path_factory.mktemp('street_domains')
    counts = dict(game=dict(train=4, val=2), camera=dict(train=4, val=2))
    clips = dict(game=dict(train=2, val=1), camera=dict(train=2, val=1))
    write_streets(root, size=(96, 192), counts=counts, clip_counts=clips, workers=1)
    return root


@pytest.fixture(scope='session')
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data and work dir of a finished toy run of 4 iterations."""
    folder = tmp_path_factory.mktemp('toy')
    data = write_toy_data(folder / 'data')
    train(toy_config(data, folder / 'run', max_iters=4, val_begin=1000))
    return data, folder / 'run'


@pytest.fixture()
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that no test may find. `harmful_module` makes it when it is imported."""
    mark = tmp_path / 'mark'
    (tmp_path / 'modules').mkdir()
    for name in ('harmful_module', 'mc'):
        text = f'open({str(mark)!r}, "w").close()\nclass Thing:\n    pass\n'
        (tmp_path / 'modules' / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / 'modules'))
    init_default_scope('mmseg')
    yield mark
    sys.modules.pop('harmful_module', None)
    sys.modules.pop('mc', None)
    assert not mark.exists(), 'code of a file was run'
