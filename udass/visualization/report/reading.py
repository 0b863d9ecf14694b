"""What the folders of finished or running trainings hold. Nothing is computed here, and no file is required."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from udass.io.settings import parse_settings

_SEED = re.compile(r'seed_\d+')
_LOGS = '*/vis_data/scalars.json'
# Records of validations have this name among them; those of training have `lr` or a loss.
_VALIDATION = 'mIoU'
_ENVIRONMENT = (
    'Python',
    'CUDA available',
    'PyTorch',
    'TorchVision',
    'OpenCV',
    'MMEngine',
    'CUDA_HOME',
    'NVCC',
    'GPU',
    'seed',
    'deterministic',
    'Distributed launcher',
    'GPU number',
)


@dataclass(frozen=True)
class Missing:
    """Something that a run lacks, and the command that makes it (empty if there is none)."""

    what: str
    command: str = ''


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        folder (Path): its work dir.
        training (list[dict]): scalars of the log, by ``step``.
        validations (list[dict]): scores of the validations in percent, by ``step``.
        config (dict): the config with everything resolved; empty if it was not kept.
        result (dict): scores of its test in percent, as ``tools/test.py --json`` writes them; empty without a test.
        details (dict): confusion matrix and scores by image of that test; empty if they were not kept.
        environment (dict[str, str]): what the log says of machine and versions.
        panels (list[Path]): pictures of what it was trained on, the oldest first.
        predictions (Path | None): folder of predicted class ids.
        config_file (str): what to give to the tools.
    """

    folder: Path
    training: list[dict] = field(default_factory=list)
    validations: list[dict] = field(default_factory=list)
    config: dict = field(default_factory=dict)
    result: dict = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    panels: list[Path] = field(default_factory=list)
    predictions: Path | None = None
    config_file: str = 'CONFIG'

    @property
    def missing(self) -> list[Missing]:
        """What the page cannot show of this run."""
        command = self.test_command()
        missing = []
        if not self.training:
            missing.append(Missing('curves: no log of its training (<time>/vis_data/scalars.json)'))
        if not self.result:
            missing.append(Missing('scores of a test', command))
        if not self.details:
            missing.append(Missing('confusion matrix and scores by image', command))
        if self.predictions is None:
            missing.append(Missing('predictions, for the examples', command))
        if not self.panels:
            missing.append(Missing('training panels: the config has no PanelHook, or the run ended before the first'))
        return missing

    def test_command(self) -> str:
        """The command that writes scores, details and predictions to where this module looks for them."""
        checkpoints = sorted(self.folder.glob('iter_*.pth'), key=lambda path: int(re.sub(r'\D', '', path.stem) or 0))
        checkpoint = str(checkpoints[-1]) if checkpoints else f'{self.folder}/CHECKPOINT.pth'
        return shlex.join(
            [
                'python',
                'tools/test.py',
                self.config_file,
                checkpoint,
                '--work-dir',
                str(self.folder / 'test'),
                '--json',
                str(self.folder / 'test.json'),
                '--predictions',
                str(self.folder / 'predictions'),
            ]
        )


@dataclass(frozen=True)
class Method:
    """One column of the page: the runs of one config, one per seed."""

    name: str
    runs: list[Run]


def read_methods(folders: Sequence[str | Path]) -> list[Method]:
    """The methods in the given folders, each under a name of its own.

    Args:
        folders (Sequence[str | Path]): work dirs of ``tools/train.py``, or folders of ``tools/run_seeds.py`` or
            ``tools/demo.py``: that of one config (``seed_<n>`` below it are the seeds of one method), or that of all.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: a folder holds no run, or is given twice.
    """
    paths = [Path(folder) for folder in folders]
    resolved = [path.resolve() for path in paths]
    for path, full in zip(paths, resolved, strict=True):
        if not path.is_dir():
            raise FileNotFoundError(
                f'{path} is not a folder; give the work dir of a run, such as work_dirs/streets_quadmix'
            )
        if resolved.count(full) > 1:
            raise ValueError(f'{path} is given twice')
    found = [item for path in paths for item in _methods_of(path)]
    names = [method.name for _, method in found]
    # Of one name, the paths tell them apart.
    return [method if names.count(method.name) == 1 else Method(str(folder), method.runs) for folder, method in found]


def _methods_of(folder: Path) -> list[tuple[Path, Method]]:
    """The methods in a folder, each with its own folder."""
    if is_run(folder):
        return [(folder, Method(_name(folder), [read_run(folder)]))]
    seeds = _seed_folders(folder)
    if seeds:
        return [(folder, Method(_name(folder), [read_run(seed) for seed in seeds]))]
    methods = [
        item
        for child in sorted(folder.iterdir())
        if child.is_dir()
        for item in (_methods_of(child) if is_run(child) or _seed_folders(child) else [])
    ]
    if not methods:
        raise ValueError(
            f'{folder} holds no run: expected a log (<time>/vis_data/scalars.json), result.json or '
            'test.json, or folders of runs. Give the work dir of tools/train.py, or the --out folder of '
            'tools/run_seeds.py'
        )
    return methods


def is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ('result.json', 'test.json')) or any(folder.glob(_LOGS))


def _seed_folders(folder: Path) -> list[Path]:
    found = [child for child in folder.iterdir() if _SEED.fullmatch(child.name) and is_run(child)]
    return sorted(found, key=lambda path: int(path.name.removeprefix('seed_')))


def _name(folder: Path) -> str:
    """The folder's name; with its parent's where it is that of a seed."""
    full = folder.resolve()
    return f'{full.parent.name}/{full.name}' if _SEED.fullmatch(full.name) else full.name


def read_run(folder: Path) -> Run:
    """Everything that there is of one run.

    Raises:
        ValueError: a file is damaged.
    """
    training, validations = read_scalars(sorted(folder.glob(_LOGS)))
    result = _read_json(folder / 'result.json') or _read_json(folder / 'test.json')
    config_files = sorted(folder.glob('*/vis_data/config.py'))
    kept = sorted(folder.glob('*.py'))
    predictions = folder / 'predictions'
    return Run(
        folder=folder,
        training=training,
        validations=validations or _validations_of(result),
        result=result,
        config=_read_config(config_files[-1]) if config_files else {},
        details=_read_json(folder / 'test.details.json'),
        environment=read_environment(sorted(folder.glob('*/*.log'))),
        panels=sorted((folder / 'panels').glob('*.png')),
        predictions=predictions if any(predictions.rglob('*.png')) else None,
        config_file=str(kept[0]) if kept else result.get('config', 'CONFIG'),
    )


def read_scalars(files: Sequence[Path]) -> tuple[list[dict], list[dict]]:
    """Records of training and of validation, by step.

    Args:
        files (Sequence[Path]): logs of one work dir, the oldest first. What a later one repeats (after ``--resume``, or
            a new start) replaces what the earlier ones had from there on.
    """
    kinds: tuple[list[dict], list[dict]] = ([], [])
    for file in files:
        records = [_record(file, number, line) for number, line in enumerate(_lines(file), start=1)]
        for kept, validates in zip(kinds, (False, True), strict=True):
            new = [record for record in records if (_VALIDATION in record) == validates and 'step' in record]
            if new:
                first = min(record['step'] for record in new)
                kept[:] = [record for record in kept if record['step'] < first] + new
    for kept in kinds:
        kept.sort(key=lambda record: record['step'])
    return kinds


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding='utf-8').splitlines()
    # A run that is still going on may be writing the last line.
    if lines and not lines[-1].endswith('}'):
        lines.pop()
    return [line for line in lines if line.strip()]


def _record(file: Path, number: int, line: str) -> dict:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{file}, line {number}: not JSON ({error.msg}); delete the line if the file was damaged'
        ) from error


def _validations_of(result: dict) -> list[dict]:
    return [{'step': int(step), _VALIDATION: score} for step, score in result.get('validations', [])]


def _read_json(file: Path) -> dict:
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'{file} is not JSON ({error.msg}, line {error.lineno}): test again, or delete it') from error


def _read_config(file: Path) -> dict:
    return parse_settings(file.read_text(encoding='utf-8', errors='replace'), file)


def read_environment(logs: Sequence[Path]) -> dict[str, str]:
    """The lines of the last log's head that name machine and versions."""
    found: dict[str, str] = {}
    for log in logs[-1:]:
        with log.open(encoding='utf-8', errors='replace') as file:
            for line in file:
                if 'Config:' in line:
                    break
                name, colon, value = line.strip().partition(': ')
                if colon and name.startswith(_ENVIRONMENT) and len(value) < 200 and 'compiling' not in name:
                    # What mmengine calls so is the number of processes, on a CPU, too.
                    found['processes' if name == 'GPU number' else name] = value
    return found
