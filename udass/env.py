"""What this installation consists of, and what is wrong with it: ``python -m udass.env``.

Ends with status 1 if distributions get in each other's way, something needed is missing or too old, or a package
cannot be imported. It imports nothing of the project, so that it runs where the project does not.
"""

import argparse
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

# What a module can come from, the first one being what this project needs. Two at once overwrite each other's files.
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'timm': ('timm',),
    'cv2': ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless'),
    'av': ('av',),
    'numpy': ('numpy',),
    'PIL': ('pillow',),
    'prettytable': ('prettytable',),
    'safetensors': ('safetensors',),
    'tqdm': ('tqdm',),
    'jinja2': ('jinja2',),
    'matplotlib': ('matplotlib',),
}
# Every build of OpenCV serves; of the others only the first.
_ANY_SERVES = ('cv2',)
MINIMUM: Mapping[str, str] = {
    'torch': '2.14',
    'torchvision': '0.29',
    'onedl-mmcv': '2.3.6',
    'onedl-mmengine': '0.10.12',
    'onedl-mmsegmentation': '1.4.2',
    'timm': '1.0.31',
    'opencv-python': '4.14',
    'av': '18.1',
    'numpy': '2.4',
    'pillow': '13',
    'prettytable': '3.18',
    'safetensors': '0.8',
    'tqdm': '4.70',
    'jinja2': '3.1',
    'matplotlib': '3.11',
}
OPTIONAL: Mapping[str, str] = {
    'tensorboard': 'curves of the losses in TensorBoard',
    'pytest': 'make test',
    'ruff': 'make lint',
}
PYTHON = (3, 11)


@dataclass
class Findings:
    """The state of an installation.

    Attributes:
        versions: distribution -> version of what is installed.
        conflicts: distributions that get in each other's way, a sentence each.
        missing: what is needed and not there, or too old, a sentence each.
        optional: what would be useful and is not there.
    """

    versions: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, None if it is not there."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def examine(
    version_of: Callable[[str], str | None] = installed_version, python: tuple[int, ...] = sys.version_info[:2]
) -> Findings:
    """What is installed, what is in conflict, what is missing.

    Args:
        version_of: version of a distribution, None if it is not installed.
        python: version of Python.
    """
    findings = Findings()
    if python < PYTHON:
        findings.missing.append(f'Python {".".join(map(str, PYTHON))} or newer; this is {".".join(map(str, python))}')
    for module, distributions in PROVIDERS.items():
        found = {name: version for name in distributions if (version := version_of(name)) is not None}
        findings.versions.update(found)
        if len(found) > 1:
            findings.conflicts.append(_conflict(module, found))
        serving = found if module in _ANY_SERVES else {name: found[name] for name in found if name == distributions[0]}
        minimum = MINIMUM[distributions[0]]
        if not serving:
            findings.missing.append(_missing(distributions[0], minimum, found))
        for name, version in serving.items():
            if _numbers(version) < _numbers(minimum):
                findings.missing.append(
                    f"{name} {minimum} or newer; {version} is installed: pip install '{name}>={minimum}'"
                )
    for name, purpose in OPTIONAL.items():
        version = version_of(name)
        if version is None:
            findings.optional.append(f'{name} ({purpose})')
        else:
            findings.versions[name] = version
    return findings


def import_problems(modules: Iterable[str], load: Callable[[str], object] = importlib.import_module) -> list[str]:
    """What goes wrong when the modules are imported, a sentence each."""
    problems = []
    for module in modules:
        try:
            load(module)
        except Exception as error:  # an import runs any code: mmseg asserts, OpenCV lacks system libraries, ...
            lines = str(error).strip().splitlines() or ['']
            advice = ''
            if module == 'cv2' and 'libGL' in lines[0]:
                advice = '. Without a display: pip uninstall opencv-python; pip install opencv-python-headless'
            problems.append(f'{module} cannot be imported ({type(error).__name__}: {lines[0]}){advice}')
    return problems


def device_lines() -> list[str]:
    """What can be computed on."""
    lines = [f'CPU: {len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()} cores']
    try:
        torch = importlib.import_module('torch')
    except Exception:
        return [*lines, 'GPU: unknown, torch cannot be imported']
    lines[0] += f', {torch.get_num_threads()} threads for torch'
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        lines.append(f'cuda:{number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB')
    if torch.cuda.device_count() == 0:
        built = (
            f'this torch is built for CUDA {torch.version.cuda}'
            if torch.version.cuda
            else 'this torch is built without CUDA'
        )
        lines.append(f'GPU: none is seen ({built})')
    else:
        lines.append(f'CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}')
    return lines


def report(findings: Findings, devices: Iterable[str], broken: Sequence[str]) -> str:
    """The text that is printed."""
    width = max(map(len, [*findings.versions, 'python']))
    lines = [f'{"python":<{width}}  {platform.python_version()} ({sys.executable})']
    lines += [f'{name:<{width}}  {version}' for name, version in findings.versions.items()]
    lines += ['', *devices]
    for title, entries in (
        ('conflicts', findings.conflicts),
        ('missing', findings.missing),
        ('broken', broken),
        ('not installed, not needed', findings.optional),
    ):
        if entries:
            lines += ['', f'{title}:', *(f'  {entry}' for entry in entries)]
    if not (findings.conflicts or findings.missing or broken):
        lines += ['', 'no conflicts, nothing missing']
    return '\n'.join(lines)


def _conflict(module: str, found: Mapping[str, str]) -> str:
    wanted = PROVIDERS[module][0]
    names = list(found)
    keep = wanted if wanted in names or module not in _ANY_SERVES else names[0]
    listed = ' and '.join(f'{name} {version}' for name, version in found.items())
    return (
        f'{listed} are installed at once; both are imported as {module}, and their files overwrite each other: '
        f"pip uninstall -y {' '.join(names)}; pip install '{keep}>={MINIMUM[wanted]}'"
    )


def _missing(name: str, minimum: str, found: Mapping[str, str]) -> str:
    instead = ''
    if found:
        other = next(iter(found))
        instead = f' ({other} {found[other]} does not serve: pip uninstall -y {other})'
    return f"{name}{instead}: pip install '{name}>={minimum}'"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without zeros at the end: 2.4.0+cpu -> (2, 4)."""
    numbers = [int(part) for part in re.match(r'\d+(\.\d+)*', version).group().split('.')]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 1 if something is wrong, else 0."""
    parser = argparse.ArgumentParser(
        prog='python -m udass.env',
        description='Show versions, devices, conflicting packages and what is missing.',
        epilog='example: python -m udass.env',
    )
    parser.parse_args(arguments)
    findings = examine()
    present = [module for module, names in PROVIDERS.items() if any(name in findings.versions for name in names)]
    broken = import_problems(present)
    sys.stdout.write(report(findings, device_lines(), broken) + '\n')
    return int(bool(findings.conflicts or findings.missing or broken))


if __name__ == '__main__':
    sys.exit(main())
