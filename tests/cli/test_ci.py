"""Continuous integration must not go green by skipping what it could have run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest

def test_camvid(camvid_root):
    pass

def test_by_another_way():
    pytest.skip('CamVid is not here')

def test_unrelated():
    pytest.skip('needs a GPU')
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'there, ci, passed, failed, skipped', [(True, 'true', 1, 1, 1), (True, '', 1, 0, 2), (False, 'true', 0, 0, 3)]
)
def test_skipping_what_is_there_fails(tmp_path, there, ci, passed, failed, skipped):
    (tmp_path / 'conftest.py').write_text((Path(__file__).parents[1] / 'conftest.py').read_text())
    (tmp_path / 'test_it.py').write_text(TEST)
    if there:
        (tmp_path / 'camvid').mkdir()
    environment = {**os.environ, 'UDASS_CAMVID': str(tmp_path / 'camvid'), 'CI': ci}
    result = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-c', os.devnull, '--rootdir', tmp_path, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
    )
    last = result.stdout.splitlines()[-1]
    for count, word in ((passed, 'passed'), (failed, 'failed'), (skipped, 'skipped')):
        assert (f'{count} {word}' in last) == (count > 0), result.stdout
    if failed:
        assert f'although {tmp_path / "camvid"} exists' in result.stdout
