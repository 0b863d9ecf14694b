"""Read what the folders of finished or running trainings hold. No file is required, and nothing is computed."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from udass.evaluation.counts import ImageCounts
from udass.io.settings import parse_settings

_SEED = re.compile(r'seed_\d+')
_LOGS = '*/vis_data/scalars.json'
# What reads the labels of test data, in a pipeline.
_LABELS = ('LoadLabels', 'LoadAnnotations')
# Lines of the head of mmengine's log that a report repeats.
_ENVIRONMENT = ('Python', 'CUDA available', 'PyTorch', 'TorchVision', 'OpenCV', 'MMEngine', 'CUDA_HOME', 'NVCC', 'GPU')
_ENVIRONMENT += ('seed', 'deterministic', 'Distributed launcher', 'GPU number')


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        folder: its work dir.
        training: scalars of the log, by ``step``.
        validations: metrics of the validations in percent, by ``step``.
        config: the resolved config; empty if it was not kept.
        result: metrics of its test in percent, as ``udass test --json`` writes them, and the scores of
            ``unlabelled.json``; empty without a test.
        details: confusion matrix and metrics by image of that test; empty if they were not kept.
        counts: pixel counts by image of that test; None if they were not kept.
        environment: machine and versions, from the log.
        panels: training panels, the oldest first.
        predictions: folder of predicted class ids; None if there are none.
        config_file: its config, as an argument of the tools.
    """

    folder: Path
    training: list[dict] = field(default_factory=list)
    validations: list[dict] = field(default_factory=list)
    config: dict = field(default_factory=dict)
    result: dict = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    counts: ImageCounts | None = None
    environment: dict[str, str] = field(default_factory=dict)
    panels: list[Path] = field(default_factory=list)
    predictions: Path | None = None
    config_file: str = 'CONFIG'

    @property
    def missing(self) -> dict[str, str]:
        """What the run lacks -> the command that makes it, or ''."""
        reads_labels = any(name in str(self.config.get('test_dataloader')) for name in _LABELS)
        unlabelled = bool(self.config) and 'mIoU' not in self.result and not reads_labels
        test = None if unlabelled else self.test_command()
        panels = 'training panels: the config has no PanelHook, or the run ended before the first'
        lacking = {
            'curves: no log of its training (<time>/vis_data/scalars.json)': '' if not self.training else None,
            'scores: the config has no labelled test data': '' if unlabelled else None,
            'scores of a test': test if not self.result else None,
            'confusion matrix and scores by image': test if not self.details else None,
            'pixel counts by image, for intervals': test if self.counts is None else None,
            'predictions, for the examples': test if self.predictions is None else None,
            panels: '' if not self.panels else None,
        }
        return {what: command for what, command in lacking.items() if command is not None}

    def test_command(self) -> str:
        """The command that writes test results and predictions to where this module looks for them."""
        checkpoints = sorted(self.folder.glob('iter_*.pth'), key=lambda path: int(re.sub(r'\D', '', path.stem) or 0))
        checkpoint = [*checkpoints[-1:], self.folder / 'CHECKPOINT.pth'][0]
        outputs = {'--work-dir': 'test', '--json': 'test.json', '--predictions': 'predictions'}
        options = [word for option, name in outputs.items() for word in (option, str(self.folder / name))]
        return shlex.join(['udass', 'test', self.config_file, str(checkpoint), *options])


@dataclass(frozen=True)
class Method:
    """One column of the page: the runs of one config, one per seed."""

    name: str
    runs: list[Run]


def read_methods(folders: Sequence[str | Path]) -> list[Method]:
    """The methods in the given folders, each under a name of its own; FileNotFoundError or ValueError if a folder does
    not exist, holds no run, or is given twice.

    Args:
        folders: work dirs of ``udass train``, or folders of ``udass seeds`` or ``udass demo``: that of one config
            (``seed_<n>`` below it are the seeds of one method), or that of all.
    """
    paths = [Path(folder) for folder in folders]
    resolved = [path.resolve() for path in paths]
    for path in paths:
        if not path.is_dir():
            raise FileNotFoundError(f'{path} is not a folder; give the work dir of a run, or a folder of runs')
        if resolved.count(path.resolve()) > 1:
            raise ValueError(f'{path} is given twice')
    found = [item for path in paths for item in _methods_of(path)]
    names = [method.name for _, method in found]
    # Methods of one name are told apart by their paths.
    return [method if names.count(method.name) == 1 else Method(str(folder), method.runs) for folder, method in found]


def _methods_of(folder: Path) -> list[tuple[Path, Method]]:
    """The methods in a folder, each with its own folder."""
    runs = _runs_of(folder)
    if runs:
        # The name of a seed's folder says nothing without that of its parent.
        full = folder.resolve()
        name = f'{full.parent.name}/{full.name}' if _SEED.fullmatch(full.name) else full.name
        return [(folder, Method(name, [read_run(run) for run in runs]))]
    children = [child for child in sorted(folder.iterdir()) if child.is_dir() and _runs_of(child)]
    if not children:
        raise ValueError(
            f'{folder} holds no run: expected a log (<time>/vis_data/scalars.json), result.json or test.json, or '
            'folders of runs. Give the work dir of udass train, or the --out folder of udass seeds'
        )
    return [item for child in children for item in _methods_of(child)]


def _runs_of(folder: Path) -> list[Path]:
    """The folder itself if it is a run, or else its seeds."""
    if any((folder / name).is_file() for name in ('result.json', 'test.json')) or any(folder.glob(_LOGS)):
        return [folder]
    seeds = [child for child in folder.iterdir() if child.is_dir() and _SEED.fullmatch(child.name) and _runs_of(child)]
    return sorted(seeds, key=lambda path: int(path.name.removeprefix('seed_')))


def read_run(folder: Path) -> Run:
    """Everything that there is of one run; ValueError if a file is damaged."""
    training, validations = read_scalars(sorted(folder.glob(_LOGS)))
    result = _read_json(folder / 'result.json') or _read_json(folder / 'test.json')
    result = result and {**_read_json(folder / 'unlabelled.json'), **result}
    stored = sorted(folder.glob('*/vis_data/config.py'))
    copies = sorted(folder.glob('*.py'))
    predictions, counts = folder / 'predictions', folder / 'test.counts.npz'
    return Run(
        folder=folder,
        training=training,
        validations=validations or [{'step': int(step), 'mIoU': miou} for step, miou in result.get('validations', [])],
        result=result,
        config=parse_settings(stored[-1].read_text('utf-8', errors='replace'), stored[-1]) if stored else {},
        details=_read_json(folder / 'test.details.json'),
        counts=ImageCounts.read(counts) if counts.is_file() else None,
        environment=read_environment(sorted(folder.glob('*/*.log'))),
        panels=sorted((folder / 'panels').glob('*.png')),
        predictions=predictions if any(predictions.rglob('*.png')) else None,
        config_file=str(copies[0]) if copies else result.get('config', 'CONFIG'),
    )


def read_scalars(files: Sequence[Path]) -> tuple[list[dict], list[dict]]:
    """Records of training and of validation, by step, of the logs of one work dir, the oldest first. A later log (after
    ``--resume``, or a new start) replaces the records of earlier ones from its first step on."""
    kinds: tuple[list[dict], list[dict]] = ([], [])
    for file in files:
        records = [record for record in _records(file) if 'step' in record]
        for known, validates in zip(kinds, (False, True), strict=True):
            new = [record for record in records if ('mIoU' in record) == validates]
            if new:
                first = min(record['step'] for record in new)
                known[:] = [record for record in known if record['step'] < first] + new
    return merged(kinds[0]), merged(kinds[1])


def merged(records: Sequence[dict]) -> list[dict]:
    """One record for each step with the scalars of all of its records, by step."""
    by_step: dict[int, dict] = {}
    for record in sorted(records, key=lambda record: record['step']):
        by_step.setdefault(record['step'], {}).update(record)
    return list(by_step.values())


def _records(file: Path) -> list[dict]:
    lines = file.read_text(encoding='utf-8').splitlines()
    # A run that is still going on may be writing the last line.
    if lines and not lines[-1].endswith('}'):
        lines.pop()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            message = f'{file}, line {number}: not JSON ({error.msg}); delete the line if the file was damaged'
            raise ValueError(message) from error
    return records


def _read_json(file: Path) -> dict:
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'{file} is not JSON ({error.msg}, line {error.lineno}): test again, or delete it') from error


def read_environment(logs: Sequence[Path]) -> dict[str, str]:
    """The lines of the head of the last log that name machine and versions."""
    found: dict[str, str] = {}
    for line in logs[-1].read_text('utf-8', errors='replace').splitlines() if logs else ():
        if 'Config:' in line:
            break
        name, colon, value = line.strip().partition(': ')
        if colon and name.startswith(_ENVIRONMENT) and len(value) < 200 and 'compiling' not in name:
            # mmengine calls the number of processes so, on a CPU, too.
            found['processes' if name == 'GPU number' else name] = value
    return found
