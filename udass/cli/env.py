"""Show the state of an installation, and what is wrong with it, by the standard library alone."""

import argparse
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

_OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless')
# Module -> lowest version and the distributions that it can come from, the first one being what this project needs. Two
# at once overwrite each other's files.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    'torch': ('2.14', 'torch'),
    'torchvision': ('0.29', 'torchvision'),
    'mmcv': ('2.3.6', 'onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmengine': ('0.10.12', 'onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmseg': ('1.4.2', 'onedl-mmsegmentation', 'mmsegmentation'),
    'timm': ('1.0.31', 'timm'),
    'cv2': ('4.14', *_OPENCV),
    'av': ('18.1', 'av'),
    'numpy': ('2.4', 'numpy'),
    'PIL': ('13', 'pillow'),
    'prettytable': ('3.18', 'prettytable'),
    'safetensors': ('0.8', 'safetensors'),
    'scipy': ('1.17', 'scipy'),
    'huggingface_hub': ('2.4', 'huggingface_hub'),
    'tqdm': ('4.70', 'tqdm'),
    'jinja2': ('3.1', 'jinja2'),
    'matplotlib': ('3.11', 'matplotlib'),
}
MINIMUM = {names[0]: minimum for minimum, *names in PACKAGES.values()}
OPTIONAL = {
    'tensorboard': 'curves of the losses in TensorBoard',
    'onnxruntime': 'udass export --format onnx',
    'pytest': 'make test',
    'ruff': 'make lint',
}
PYTHON = (3, 11)


@dataclass
class Findings:
    """Versions of the installed distributions, and sentences on conflicts and on what is missing or could be added."""

    versions: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)


def _installed(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of those distributions that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def examine(python: tuple[int, ...] = sys.version_info[:2]) -> Findings:
    """Look for conflicts and for what is missing."""
    result = Findings()
    if python < PYTHON:
        result.missing.append(f'Python {".".join(map(str, PYTHON))} or newer; this is {".".join(map(str, python))}')
    for module, (minimum, wanted, *others) in PACKAGES.items():
        found = _installed([wanted, *others])
        result.versions.update(found)
        # Every build of OpenCV serves; of the others only the first.
        usable = list(found) if module == 'cv2' else [wanted] * (wanted in found)
        if len(found) > 1:
            listed = ' and '.join(f'{name} {version}' for name, version in found.items())
            keep = wanted if wanted in found or not usable else usable[0]
            result.conflicts.append(
                f'{listed} are installed at once; both are imported as {module}, and their files overwrite each '
                f"other: pip uninstall -y {' '.join(found)}; pip install '{keep}>={minimum}'"
            )
        if not usable:
            other = next(iter(found), None)
            instead = f' ({other} {found[other]} does not serve: pip uninstall -y {other})' if found else ''
            result.missing.append(f"{wanted}{instead}: pip install '{wanted}>={minimum}'")
        for name in usable:
            if _numbers(found[name]) < _numbers(minimum):
                remedy = f"{found[name]} is installed: pip install '{name}>={minimum}'"
                result.missing.append(f'{name} {minimum} or newer; {remedy}')
    result.versions.update(_installed(OPTIONAL))
    result.optional += [f'{name} ({use})' for name, use in OPTIONAL.items() if name not in result.versions]
    return result


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without zeros at the end: 2.4.0+cpu -> (2, 4)."""
    numbers = re.match(r'\d+(\.\d+)*', version).group()
    return tuple(map(int, re.sub(r'(\.0+)+$', '', numbers).split('.')))


def import_problems(modules: Iterable[str], load: Callable[[str], object] = importlib.import_module) -> list[str]:
    """The errors when the modules are imported, a sentence each."""
    problems = []
    for module in modules:
        try:
            load(module)
        except Exception as error:  # an import runs any code: mmseg asserts, OpenCV lacks system libraries, ...
            line = (str(error).strip().splitlines() or [''])[0]
            advice = ''
            if module == 'cv2' and 'libGL' in line:
                advice = '. Without a display: pip uninstall opencv-python; pip install opencv-python-headless'
            problems.append(f'{module} cannot be imported ({type(error).__name__}: {line}){advice}')
    return problems


def device_lines() -> list[str]:
    """The processors and GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    try:
        torch = importlib.import_module('torch')
    except Exception:
        return [f'CPU: {cores} cores', 'GPU: unknown, torch cannot be imported']
    lines = [f'CPU: {cores} cores, {torch.get_num_threads()} threads for torch']
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        lines.append(f'cuda:{number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB')
    if len(lines) > 1:
        return [*lines, f'CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}']
    built = f'for CUDA {torch.version.cuda}' if torch.version.cuda else 'without CUDA'
    return [*lines, f'GPU: none is seen (this torch is built {built})']


def report(findings: Findings, devices: Iterable[str], broken: Sequence[str]) -> str:
    """The findings as text."""
    width = max(map(len, [*findings.versions, 'python']))
    lines = [f'{"python":<{width}}  {platform.python_version()} ({sys.executable})']
    lines += [f'{name:<{width}}  {version}' for name, version in findings.versions.items()]
    lines += ['', *devices]
    wrong = {'conflicts': findings.conflicts, 'missing': findings.missing, 'broken': broken}
    for title, entries in {**wrong, 'not installed, not needed': findings.optional}.items():
        lines += ['', f'{title}:', *(f'  {entry}' for entry in entries)] if entries else []
    return '\n'.join(lines if any(wrong.values()) else [*lines, '', 'no conflicts, nothing missing'])


def run(args: argparse.Namespace) -> None:
    """Print the report; ends with status 1 if something is wrong."""
    findings = examine()
    present = [module for module, (_, *names) in PACKAGES.items() if any(name in findings.versions for name in names)]
    broken = import_problems(present)
    sys.stdout.write(report(findings, device_lines(), broken) + '\n')
    if findings.conflicts or findings.missing or broken:
        sys.exit(1)
