import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from udass.cli import env
from udass.cli.main import main

PROJECT = Path(__file__).parents[2]
RIGHT = {**env.MINIMUM, 'torch': '2.14.1+cu130', 'numpy': '2.4.6', 'pytest': '9.0', 'ruff': '0.17'}


@pytest.fixture
def installed(monkeypatch):
    """What importlib.metadata knows; to be changed by the tests."""
    versions = dict(RIGHT)

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, 'version', version)
    return versions


def test_a_right_installation_has_no_findings(installed):
    findings = env.examine()
    assert findings.conflicts == findings.missing == []
    assert findings.versions == RIGHT
    assert findings.optional == [
        'tensorboard (curves of the losses in TensorBoard)',
        'onnxruntime (udass export --format onnx)',
    ]


@pytest.mark.parametrize(
    'added, module',
    [
        ('mmcv', 'mmcv'),
        ('mmcv-full', 'mmcv'),
        ('mmengine', 'mmengine'),
        ('mmsegmentation', 'mmseg'),
        ('opencv-python-headless', 'cv2'),
        ('opencv-contrib-python', 'cv2'),
    ],
)
def test_two_distributions_of_one_module_are_a_conflict(installed, added, module):
    installed[added] = '9.9'
    findings = env.examine()
    assert len(findings.conflicts) == 1 and findings.missing == []
    ours = env.PACKAGES[module][1]
    conflict = f'{ours} {RIGHT[ours]} and {added} 9.9 are installed at once; both are imported as {module}'
    assert conflict in findings.conflicts[0]
    assert f"pip uninstall -y {ours} {added}; pip install '{ours}>=" in findings.conflicts[0]


def test_what_is_missing_or_too_old_is_named_with_the_remedy(installed):
    del installed['timm'], installed['onedl-mmcv'], installed['opencv-python']
    installed.update({'mmcv': '2.2.0', 'torch': '2.3.1', 'opencv-python-headless': '4.14', 'onedl-mmengine': '0.10.9'})
    findings = env.examine(python=(3, 9))
    assert findings.conflicts == []
    assert findings.missing == [
        'Python 3.11 or newer; this is 3.9',
        "torch 2.14 or newer; 2.3.1 is installed: pip install 'torch>=2.14'",
        "onedl-mmcv (mmcv 2.2.0 does not serve: pip uninstall -y mmcv): pip install 'onedl-mmcv>=2.3.6'",
        "onedl-mmengine 0.10.12 or newer; 0.10.9 is installed: pip install 'onedl-mmengine>=0.10.12'",
        "timm: pip install 'timm>=1.0.31'",
    ]


def test_packages_that_do_not_import_are_broken():
    def load(module):
        if module == 'cv2':
            raise ImportError('libGL.so.1: cannot open shared object file\nmore')
        if module == 'mmseg':
            raise AssertionError('MMCV==2.9 is used but incompatible')

    cv2, mmseg = env.import_problems(['torch', 'cv2', 'mmseg'], load)
    assert cv2.startswith('cv2 cannot be imported (ImportError: libGL.so.1: cannot open shared object file)')
    assert 'pip install opencv-python-headless' in cv2
    assert mmseg == 'mmseg cannot be imported (AssertionError: MMCV==2.9 is used but incompatible)'


@pytest.mark.parametrize(
    'change, broken, status, words',
    [
        ({}, [], 0, 'no conflicts, nothing missing'),
        ({'mmcv': '2.2.0'}, [], 1, 'conflicts:\n  onedl-mmcv 2.3.6 and mmcv'),
        ({'tqdm': '4.1'}, [], 1, 'missing:\n  tqdm 4.70 or newer'),
        ({}, ['cv2 cannot be imported'], 1, 'broken:\n  cv2'),
    ],
)
def test_the_report_and_the_exit_status(installed, monkeypatch, capsys, change, broken, status, words):
    installed.update(change)
    monkeypatch.setattr(env, 'import_problems', lambda modules: broken)
    if status:
        with pytest.raises(SystemExit, match='1'):
            main(['env'])
    else:
        main(['env'])
    printed = capsys.readouterr().out
    assert words in printed and 'torch                 2.14.1+cu130' in printed
    assert ('no conflicts' in printed) == (status == 0)
    assert 'CPU: ' in printed and ('GPU: none' in printed or 'cuda:0' in printed)


def test_the_minimum_versions_are_those_of_the_installer():
    text = (PROJECT / 'setup.py').read_text()
    required = re.findall(r"'([\w-]+)>=([\d.]+)',", text.split('install_requires')[1].split(']')[0])
    assert dict(required) == dict(env.MINIMUM)


def test_it_runs_where_the_project_cannot_be_imported():
    """In a Python without site packages nothing but the standard library is there."""
    start = f"import runpy, sys; sys.path.insert(0, {str(PROJECT)!r}); sys.argv = ['udass', 'env']"
    code = f"{start}; runpy.run_module('udass', run_name='__main__')"
    done = subprocess.run([sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert "missing:\n  torch: pip install 'torch>=2.14'" in done.stdout
