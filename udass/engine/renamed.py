"""Names of earlier versions: refused in configs with the new name, translated in checkpoints."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

# Registered components.
RENAMED_TYPES = {
    'DrawSampler': 'SeededInfiniteSampler',
    'DrawnDataset': 'SeededDataset',
    'PartsDataParallel': 'SeparateDataParallel',
    'PictureFolder': 'ImageFolder',
    'PredictionPictureHook': 'PredictionImageHook',
}
# Config keys, as the end of their dotted path; the new name replaces the last part.
RENAMED_KEYS = {
    'feature_mixing.own_share': 'mix_ratio',
    'model.alignment': 'adaptation_loss',
    'model.strong_augmentation': 'target_augmentation',
    'optim_wrapper.alignment': 'adaptation_loss',
    'param_scheduler.alignment': 'adaptation_loss',
}
# Children of the model: prefixes of a state dict, and names of optimizers and their logged rates.
RENAMED_PARTS = {'alignment': 'adaptation_loss'}
# Entries of extra states in a state dict, which hold the templates of QuadMix.
RENAMED_FIELDS = {'unwarped': 'no_flow'}


def new_key(path: str) -> str | None:
    """The present name of the last part of a dotted config key, None if the key was not renamed."""
    matches = (new for old, new in RENAMED_KEYS.items() if path == old or path.endswith(f'.{old}'))
    return next(matches, None)


def check_option_name(option: str) -> None:
    """Raises ValueError if a dotted key of the command line contains a renamed one."""
    parts = option.split('.')
    for length in range(1, len(parts) + 1):
        _refuse_key('.'.join(parts[:length]))


def check_renamed(config: Mapping) -> None:
    """Raises ValueError, naming the new name, if a config has the name of an earlier version."""
    for path, node in mappings(config):
        for key, value in _items(node):
            where = f'{path}.{key}'.lstrip('.')
            _refuse_key(where)
            if key == 'type' and isinstance(value, str) and value in RENAMED_TYPES:
                raise ValueError(f'{where} is {value}, which is now called {RENAMED_TYPES[value]}: rename it')


def mappings(node: object, path: str = '') -> Iterator[tuple[str, Mapping]]:
    """Every dict of a config with its dotted path, but for those that albumentations finds by names of its own."""
    if isinstance(node, Mapping):
        yield path, node
        foreign = 'transforms' if ('type', 'Albu') in _items(node) else None
        for key, value in _items(node):
            if key != foreign:
                yield from mappings(value, f'{path}.{key}'.lstrip('.'))
    elif isinstance(node, Sequence | Set) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from mappings(value, f'{path}.{number}'.lstrip('.'))


def _items(node: Mapping) -> list[tuple]:
    # The methods of mmengine's dict would build what a config only names.
    return list(dict.items(node) if isinstance(node, dict) else node.items())


def _refuse_key(path: str) -> None:
    if (new := new_key(path)) is not None:
        raise ValueError(f'{path} is now called {path.rpartition(".")[0]}.{new}: rename it')


def with_new_names(node: Any, path: str = '') -> Any:  # noqa: ANN401  the kind of the result follows from the node
    """A copy of stored settings (dicts, lists and plain values) with present names of keys and types."""
    if isinstance(node, dict):
        result = {}
        for key, value in node.items():
            where = f'{path}.{key}'.lstrip('.')
            renamed = RENAMED_TYPES.get(value) if key == 'type' and isinstance(value, str) else None
            result[new_key(where) or key] = renamed or with_new_names(value, where)
        return result
    if isinstance(node, list | tuple):
        return type(node)(with_new_names(value, f'{path}.{number}') for number, value in enumerate(node))
    return node


def translate_checkpoint(checkpoint: dict) -> None:
    """Gives the entries of a training checkpoint their present names, in place."""
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint[key] = _renamed_parts(checkpoint[key])
    meta, hub = checkpoint.get('meta', {}), checkpoint.get('message_hub', {})
    if 'rank_states' in meta:
        meta['rank_states'] = [_renamed_parts(state) for state in meta['rank_states']]
    for key in ('log_scalars', 'resumed_keys'):
        if key in hub:
            hub[key] = _renamed_parts(hub[key], start='train/')


def _renamed_parts(entries: dict, start: str = '') -> dict:
    """The entries, with the part of the model that is named after ``start`` renamed, and fields of extra states."""
    result = type(entries)()
    for key, value in entries.items():
        part, dot, rest = key.removeprefix(start).partition('.')
        name = f'{start}{RENAMED_PARTS[part]}{dot}{rest}' if part in RENAMED_PARTS and key.startswith(start) else key
        result[name] = _renamed_fields(value) if key.endswith('_extra_state') else value
    return result


def _renamed_fields(state: Any) -> Any:  # noqa: ANN401  the kind of the result follows from the state
    if isinstance(state, dict):
        return {RENAMED_FIELDS.get(key, key): _renamed_fields(value) for key, value in state.items()}
    return state
