"""List the published configs, or copy one to edit."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from prettytable import PrettyTable

import udass
from udass.io.published import find_config, read_index


def numbers(entry: Mapping) -> list[str]:
    """Published and own mIoU, parameters and FLOPs of an entry of the index, as text."""
    published, ours = entry['published'] or {}, entry['ours']
    scores = ', '.join(f'{value} ({name})' if name != 'mIoU' else f'{value}' for name, value in published.items())
    own = '' if ours is None else f'{ours["mean"]:.1f}' + ('' if ours['std'] is None else f' ± {ours["std"]:.1f}')
    return [scores, own, f'{entry["parameters"] / 1e6:.1f} M', f'{entry["flops"] / 1e9:.0f} G']


def to_text(entries: Mapping[str, Mapping]) -> str:
    """Entries of the index as a table."""
    head = ['config', 'method', 'network', 'benchmark', 'published mIoU', 'ours', 'parameters', 'FLOPs']
    table = PrettyTable(head, align='r')
    for column in head[:4]:
        table.align[column] = 'l'
    for name, entry in entries.items():
        table.add_row([name, entry['method'], entry['network'], entry['benchmark'], *numbers(entry)])
    return table.get_string()


def copy(name: str, out: Path) -> None:
    """Write a config with its base files resolved: all settings in one file, which works wherever it lies;
    FileExistsError if there is a file of this name."""
    # They take seconds to import.
    from mmengine.config import Config

    from udass.engine.config import top_level_keys
    from udass.engine.config_files import read_config
    from udass.io.writing import write_text

    if out.exists():
        raise FileExistsError(f'{out} exists: delete it, or give another name with --out')
    settings = read_config(find_config(name)).to_dict()
    config = Config({key: value for key, value in settings.items() if key in top_level_keys()})
    title = f'# {Path(name).stem} of UDASS {udass.__version__}, with its base files resolved.\n'
    write_text(out, title + config.pretty_text)
    print(f'{out}: edit it, then: udass train {out}')


def run(args: argparse.Namespace) -> None:
    """Copy a config, or list those whose names or descriptions hold all given words."""
    if args.copy is not None:
        copy(args.copy, args.out or Path(f'{Path(args.copy).stem}.py'))
        return
    found = {
        name: entry
        for name, entry in read_index().items()
        if all(word.lower() in f'{name} {list(entry.values())}'.lower() for word in args.words)
    }
    print(to_text(found) if found else f'no config has all of: {" ".join(args.words)} (udass configs lists all)')
