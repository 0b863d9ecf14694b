"""Continuous integration must not go green by skipping what it could have run."""

from pathlib import Path

import pytest

pytest_plugins = ['pytester']
TEST = """
import pytest

def test_camvid(camvid_root):
    pass

def test_by_another_way():
    pytest.skip('CamVid is not here')

def test_unrelated():
    pytest.skip('needs a GPU')
"""


@pytest.mark.parametrize(
    'there, ci, passed, failed, skipped', [(True, 'true', 1, 1, 1), (True, '', 1, 0, 2), (False, 'true', 0, 0, 3)]
)
def test_skipping_what_is_there_fails(pytester, monkeypatch, there, ci, passed, failed, skipped):
    pytester.makeconftest((Path(__file__).parents[1] / 'conftest.py').read_text())
    pytester.makepyfile(TEST)
    camvid = pytester.path / 'camvid'
    if there:
        camvid.mkdir()
    monkeypatch.setenv('UDASS_CAMVID', str(camvid))
    monkeypatch.setenv('CI', ci)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=passed, failed=failed, skipped=skipped)
    if failed:
        result.stdout.fnmatch_lines(f'*although {camvid} exists*')
