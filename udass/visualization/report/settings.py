"""Configs side by side: which settings differ."""

from collections.abc import Iterator, Mapping, Sequence

from udass.engine.config import top_level_keys

# Differ between any two runs, or say nothing of the method.
_LEFT_OUT = {'work_dir', 'launcher', 'resume', 'custom_imports', 'visualizer'}
ABSENT = '-'


def flat_settings(config: Mapping) -> dict[str, str]:
    """Dotted key -> value as text, of what a run reads of its config; variables of the config files are left out."""
    kept = {key: value for key, value in config.items() if key in top_level_keys() and key not in _LEFT_OUT}
    return dict(_flat(kept, ''))


def differences(configs: Sequence[Mapping]) -> list[tuple[str, list[str]]]:
    """(dotted key, its value in each config) of the settings that are not the same in all.

    The seed does not count, and a component that is switched off with None is the same as one that is not named.
    """
    settings = [flat_settings(config) for config in configs]
    keys = {key: None for part in settings for key in part if key != 'randomness.seed'}
    rows = [(key, [part.get(key, ABSENT) for part in settings]) for key in sorted(keys)]
    return [(key, values) for key, values in rows if len(set(values)) > 1 and set(values) != {ABSENT, 'None'}]


def _flat(node: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f'{path}.{key}'.lstrip('.'))
    elif isinstance(node, (list, tuple)) and any(isinstance(value, Mapping) for value in node):
        for number, value in enumerate(node):
            yield from _flat(value, f'{path}.{number}')
    else:
        # A list that comes back from a file may have become a tuple.
        yield path, repr(list(node) if isinstance(node, tuple) else node)
