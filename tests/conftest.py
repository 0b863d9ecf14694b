"""Data outside the repository, threads, and a check that nothing is skipped by mistake where the data is there."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import udass.all_modules  # noqa: F401  (registers what tests build by name)

PROJECT = Path(__file__).resolve().parents[1]
# Environment variable -> where its files are by default, relative to the project.
SHARED = {
    'UDASS_CAMVID': '../shared/data/camvid',
    'UDASS_WEIGHTS': '../shared/weights/tf_efficientnet_lite0_imagenet.pth',
}


def shared_path(variable: str) -> Path:
    """Where the environment variable, or else its default, says that shared files are."""
    return (PROJECT / (os.environ.get(variable) or SHARED[variable])).resolve()


def _require(variable: str) -> Path:
    path = shared_path(variable)
    if not path.exists():
        reason = 'does not exist, and is not part of the repository: see docs/small_benchmarks.md'
        pytest.skip(f'{path} {reason}, and set {variable}')
    return path


@pytest.fixture(scope='session')
def camvid_root() -> Path:
    """Folder of CamVid."""
    return _require('UDASS_CAMVID')


@pytest.fixture(scope='session')
def weights_path() -> Path:
    """File of ImageNet weights of EfficientNet-Lite0."""
    return _require('UDASS_WEIGHTS')


@pytest.fixture(scope='session', autouse=True)
def quick_runners() -> Iterator[None]:
    """Skip what takes most of the time of building and starting a runner and has no influence on it: formatting its
    config, which mmengine does six times per run, and asking compilers for their versions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        yield


def pytest_configure(config: pytest.Config) -> None:
    # Where the caller ignores them (nohup, a shell's background job), trainings do so, too, and tests that send them
    # would wait in vain.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Configs read these variables, too.
    for variable in SHARED:
        if not os.environ.get(variable) and shared_path(variable).exists():
            os.environ[variable] = str(shared_path(variable))
    # More threads than cores, or many threads on tiny tensors, only slow each other down.
    if 'OMP_NUM_THREADS' not in os.environ:
        several = 'PYTEST_XDIST_WORKER' in os.environ
        torch.set_num_threads(1 if several else min(2, os.cpu_count() or 1))
        if several:
            # Processes that tests start share the cores, too.
            os.environ['OMP_NUM_THREADS'] = '1'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Trajectories take minutes each: one that starts last leaves the other processes idle.
    items.sort(key=lambda item: 'test_trajectories' not in item.nodeid)


def pytest_collection_finish() -> None:
    # mmengine collects garbage for each data set that is built: not among what the imports have left.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> object:
    """In continuous integration a test must not skip for want of shared data that is there."""
    outcome = yield
    report = outcome.get_result()
    if os.environ.get('CI') != 'true' or not report.skipped or hasattr(report, 'wasxfail'):
        return
    reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr)
    named = [shared_path(variable) for variable in SHARED if names_shared_data(reason, variable)]
    present = [path for path in named if path.exists()]
    if present:
        report.outcome = 'failed'
        report.longrepr = f'{item.nodeid} skipped ("{reason}") although {present[0]} exists: with CI=true an error'


def names_shared_data(reason: str, variable: str) -> bool:
    """Whether the reason of a skip is that the files of a variable are missing."""
    word = variable.removeprefix('UDASS_').lower()
    return word in reason.lower()
