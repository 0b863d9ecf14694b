"""Run experiments: train and test a config in processes of their own, record the results, go on after an interrupt."""

import hashlib
import json
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from udass.cli import write_json
from udass.engine.checkpoint import has_checkpoint, latest_checkpoint
from udass.engine.config import load_config
from udass.engine.interrupt import SIGNALS
from udass.evaluation.counts import ImageCounts
from udass.io.writing import write_bytes

RESULT = 'result.json'
_PROGRESS, _COUNTS = 'progress.json', 'test.counts.npz'


class ExperimentFailed(ChildProcessError):
    """A command of an experiment ended with an error."""


def run_experiment(
    config: str, seed: int, folder: Path, options: Sequence[str] = (), predictions: bool = False, test: bool = True
) -> dict:
    """Train a config with a seed and test the last iterate, unless that was done before.

    Where the config validates as it tests, and validated the last iterate, the scores of this validation are those of
    the test.

    Args:
        config: config file.
        seed: seed of every random stream.
        folder: for checkpoints, logs and results of this run; a run that was interrupted goes on there.
        options: KEY=VALUE settings that replace those of the config.
        predictions: also write the predicted class ids of the test images to ``folder/predictions``.
        test: False where there are no labels to test on; the result then has no scores.

    Returns:
        dict: content of ``folder/result.json``: scores in percent, ``train_seconds`` (wall time of the training
        process or processes, start and validation included), ``validations`` [[iteration, mIoU], ...].

    Raises:
        ValueError: the folder holds a run with other settings.
        ExperimentFailed, KeyboardInterrupt: training or testing ended with an error, or was interrupted.
    """
    progress = _read_progress(folder, _fingerprint(config, seed, options))
    finished = read_result(folder)
    if finished is not None and (not predictions or (folder / 'predictions').is_dir()):
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    chosen = ['--cfg-options', *options] if options else []
    if not progress['trained']:
        _train(config, seed, folder, chosen, progress)
    checkpoint = str(latest_checkpoint(folder))
    if test and (predictions or not _take_validation(config, folder, checkpoint)):
        files = ['--work-dir', str(folder / 'test'), '--json', str(folder / 'test.json')]
        files += ['--predictions', str(folder / 'predictions')] if predictions else []
        run_tool('test', [config, checkpoint, *files, *chosen])
    result = {
        'config': config,
        'seed': seed,
        'options': list(options),
        **(json.loads((folder / 'test.json').read_text()) if test else {'checkpoint': checkpoint}),
        'train_seconds': round(progress['train_seconds'], 2),
        'train_sessions': progress['train_sessions'],
        'validations': read_validations(folder),
        'code': code_version(),
        'machine': _machine(),
    }
    result['checkpoint'] = Path(result['checkpoint']).name
    write_json(folder / RESULT, result)
    return result


def _take_validation(config: str, folder: Path, checkpoint: str) -> bool:
    """Make the scores of the last validation (``ScalarLogHook``) those of the test, if it tested this checkpoint."""
    try:
        validation = json.loads((folder / 'validation.json').read_text())
        details = json.loads((folder / 'validation.details.json').read_text())
        counts = (folder / 'validation.counts.npz').read_bytes()
    except (OSError, ValueError):
        # Not there, or cut off.
        return False
    iteration, is_test = validation.pop('iteration', None), validation.pop('is_test', False)
    if not is_test or Path(checkpoint).name != f'iter_{iteration}.pth':
        return False
    write_json(folder / 'test.json', {'config': config, 'checkpoint': checkpoint, **validation})
    write_json(folder / 'test.details.json', details)
    write_bytes(folder / _COUNTS, counts)
    return True


def _train(config: str, seed: int, folder: Path, chosen: list[str], progress: dict) -> None:
    """Train, and record the time spent even if the training does not come to an end."""
    resume = ['--resume'] if has_checkpoint(folder) else []
    start = time.monotonic()
    progress['train_sessions'] += 1
    write_json(folder / _PROGRESS, progress)
    try:
        run_tool('train', [config, '--work-dir', str(folder), '--seed', str(seed), *resume, *chosen])
        progress['trained'] = True
    finally:
        progress['train_seconds'] += time.monotonic() - start
        write_json(folder / _PROGRESS, progress)


def run_tool(name: str, arguments: Sequence[str]) -> None:
    """Run a command of this project in a process of its own; see `run_process`."""
    run_process([sys.executable, '-m', 'udass', name, *arguments])


def run_process(command: Sequence[str]) -> None:
    """Run a command and wait for it; ExperimentFailed if it ended with an error, KeyboardInterrupt after a signal.

    Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 are handed on, so that a training saves its state; a second Ctrl-C makes it
    abort.
    """
    # In a session of its own the process gets a Ctrl-C from here and only from here, not from the terminal as well.
    process = subprocess.Popen(command, start_new_session=True)
    previous = {number: signal.signal(number, lambda signum, frame: process.send_signal(signum)) for number in SIGNALS}
    try:
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if status in {status for number in SIGNALS for status in (128 + number, -number)}:
        raise KeyboardInterrupt
    if status != 0:
        raise ExperimentFailed(f'{" ".join(command)} ended with status {status}; its message is above')


def read_result(folder: Path) -> dict | None:
    """Result of a finished run, None where there is none."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.is_file() else None


def read_counts(folder: Path) -> ImageCounts | None:
    """Pixel counts of the test of a finished run by image, None where the test did not keep them."""
    path = folder / _COUNTS
    return ImageCounts.read(path) if path.is_file() else None


def read_validations(folder: Path) -> list[list[float]]:
    """[[iteration, mIoU in percent], ...] of all validations during training, as the log recorded them."""
    found: dict[int, float] = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'mIoU' in record:
                found[int(record['step'])] = float(record['mIoU'])
    return [[step, found[step]] for step in sorted(found)]


def _fingerprint(config: str, seed: int, options: Sequence[str]) -> str:
    """Digest of all settings."""
    content = json.dumps([load_config(config).to_dict(), seed, sorted(options)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _read_progress(folder: Path, fingerprint: str) -> dict:
    path = folder / _PROGRESS
    if not path.is_file():
        return {'fingerprint': fingerprint, 'trained': False, 'train_seconds': 0.0, 'train_sessions': 0}
    progress = json.loads(path.read_text())
    if progress['fingerprint'] != fingerprint:
        raise ValueError(
            f'{folder} holds a run with other settings (the config, the options or the data path changed since). '
            'Delete it to run again, or choose another output folder'
        )
    return progress


def code_version() -> str:
    """Commit of the code that ran, with a mark if it was changed since; unknown outside a checkout."""
    command = ['git', '-C', str(Path(__file__).parent), 'describe', '--always', '--dirty', '--exclude=*']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def _machine() -> str:
    """The device, for tables of times."""
    if torch.cuda.is_available():
        return f'{torch.cuda.get_device_name()}, torch {torch.__version__}'
    return f'CPU ({platform.machine()}), {torch.get_num_threads()} threads, torch {torch.__version__}'
