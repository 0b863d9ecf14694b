"""Reading configs with the mistakes named: unknown options, and arguments that a component does not take."""

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import mmseg.registry
import numpy as np
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from udass.engine.config_files import read_config, register_all
from udass.engine.renamed import check_option_name, check_renamed, mappings

# Keys that a builder takes out before the component sees the rest.
_BUILDER_KEYS = {'type', '_scope_', '_delete_', 'priority', 'convert_to_iter_based', 'constructor', 'paramwise_cfg'}
# Arguments that the runner fills in.
_FILLED_IN = {'self', 'runner', 'dataloader', 'params', 'optimizer'}
_STREAM_KEYS = {'mixes', 'pipeline'}
# What mmcv's builder of normalisation layers takes out.
_NORM_KEYS = {'requires_grad'}
# Keys of a config beside the runner's arguments that mmengine reads.
_CONFIG_KEYS = {
    'runner_type',
    'custom_imports',
    'model_wrapper_cfg',
    'find_unused_parameters',
    'sync_bn',
    'compile',
    'amp',
    'channels_last',
    'tf32',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
}
# Dicts without a type whose keys depend on what reads them.
_FREE_FORM = {
    'test_cfg',
    'train_cfg',
    'metainfo',
    'data_prefix',
    'paramwise_cfg',
    'custom_keys',
    'clip_grad',
    'env_cfg',
    'mp_cfg',
    'dist_cfg',
    'model_wrapper_cfg',
    'label_table',
}
_LOADER_KEYS = {'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn', 'num_batch_per_epoch'}


def load_config(config: str | Path | Config, options: Mapping | None = None) -> Config:
    """Reads a config and applies options from the command line.

    Args:
        config: a file, the name of a published config, or a config that was read before, which is copied.
        options: dotted key -> value.

    Raises:
        FileNotFoundError, ValueError: see `read_config`; also ValueError if an option or a component does not exist, or
            a component is given an argument that it does not take.
    """
    config = config.copy() if isinstance(config, Config) else read_config(config)
    apply_options(config, options or {})
    prepare_config(config)
    # Variables that nothing reads may hold anything, the settings of MMSegmentation 0.x for instance.
    check_components({key: value for key, value in config.to_dict().items() if key in top_level_keys()})
    return config


def config_name(config: str | Path | Config) -> str:
    """The name of the work dir of a config: that of its file, or ``config`` for one that was not read from a file."""
    file = config.filename if isinstance(config, Config) else config
    return 'config' if file is None else Path(file).stem


def prepare_config(config: Config) -> None:
    """Registers this project, and brings a config into the form that everything else expects, in place: paths become
    strings, and ``model.num_classes`` replaces the number of classes in every head. ValueError if that number makes no
    sense, or the config has a name of an earlier version."""
    register_all()
    settings = config._cfg_dict if isinstance(config, Config) else config
    check_renamed(settings)
    plain_settings(settings)
    for key in list(config):
        if isinstance(config[key], type):
            # A name that the file imported, `Path` for instance.
            config.pop(key)
    model = config.get('model') or {}
    number = model.pop('num_classes', None) if 'student' in model else None
    if number is not None:
        if not isinstance(number, int) or number < 2:
            raise ValueError(f'model.num_classes must be a number of classes, at least 2; got {number!r}')
        student = model['student']
        _set_num_classes([student.get(name) for name in ('decode_head', 'auxiliary_head')], number)


def plain_settings(node: Any) -> Any:  # noqa: ANN401  the kind of the result follows from the node
    """Settings without what mmengine cannot write as source text (NumPy's numbers and arrays, paths); dicts and lists
    are changed in place."""
    if isinstance(node, dict):
        # The methods of mmengine's dict would build what a config only names.
        for key, value in dict.items(node):
            dict.__setitem__(node, key, plain_settings(value))
        return node
    if isinstance(node, list):
        node[:] = map(plain_settings, node)
        return node
    if type(node) is tuple:
        return tuple(map(plain_settings, node))
    if isinstance(node, np.ndarray | np.generic):
        return node.tolist()
    return str(node) if isinstance(node, PurePath) else node


def _set_num_classes(node: object, number: int) -> None:
    """Set the number of classes in heads and the heads inside them."""
    if isinstance(node, dict):
        # Heads of edges and attention maps that all classes share have numbers of their own.
        if node.get('num_classes', 1) != 1 and node.get('type') != 'STDCHead':
            if node.get('out_channels') == node['num_classes']:
                node['out_channels'] = number
            node['num_classes'] = number
        for value in node.values():
            _set_num_classes(value, number)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _set_num_classes(value, number)


def apply_options(config: Config, options: Mapping) -> None:
    """Applies options (dotted key -> value) from the command line, in place; ValueError if nothing reads one of them.
    The arguments of the components are left to `check_components`."""
    for option in options:
        check_option_name(option)
        if option.split('.')[0] in config and option.split('.')[0] not in top_level_keys():
            raise ValueError(
                f'option {option}: {option.split(".")[0]} is a variable of the config files that nothing '
                'reads after loading; set the key that uses it, e.g. one below model or train_dataloader'
            )
        _check_option(config.to_dict(), option)
    config.merge_from_dict(dict(options))


def check_components(config: Mapping) -> None:
    """Raises ValueError, with the config key and the likeliest spelling, for components that do not exist and for
    arguments that one cannot take, and for a list of loaders to test on."""
    for name in ('val_dataloader', 'test_dataloader'):
        if isinstance(config.get(name), list | tuple):
            raise ValueError(
                f'{name} is a list, but a run tests with one loader: join the data sets in its dataset, '
                "dict(type='ConcatDataset', names=[...], datasets=[...]); they are reported side by side"
            )
    for path, node in _components(config):
        components = component_classes(node['type'])
        if not components:
            raise ValueError(_unknown_component(path, node['type']))
        for component in components:
            # Those of other projects may take more than their signatures say.
            own = inspect.isclass(component) and component.__module__.startswith('udass.')
            names, is_open = all_arguments(component) if own else _own_arguments(component)
            unknown = [] if is_open else sorted(set(node) - names - _BUILDER_KEYS - _extra_keys(path, node))
            if unknown:
                raise ValueError(_unknown_key(path, unknown[0], names, f'{component.__name__} takes'))


def _unknown_component(path: str, kind: str) -> str:
    known = {name for registry in _registries() for name in registry.module_dict}
    close = difflib.get_close_matches(kind, known, n=3)
    hint = f' Did you mean {" or ".join(close)}?' if close else ''
    package, _, name = kind.rpartition('.')
    if package in ('mmpretrain', 'mmdet'):
        hint = f' {name} is a component of {package}: install it and add {package}.models to custom_imports.'
    return (
        f'{path}.type'.lstrip('.') + f' is {kind}, and no component of this name is registered; a module of your '
        f'own must be named in custom_imports.{hint}'
    )


def explain_type_error(error: TypeError, config: Mapping) -> str | None:
    """Names the config key behind Python's "unexpected keyword argument", None for any other TypeError."""
    match = re.search(r"(?:(\w+)\.__init__\(\)|(\w+)\(\)) got an unexpected keyword argument '(\w+)'", str(error))
    if match is None:
        return None
    key = match.group(3)
    for path, node in _components(config):
        for component in component_classes(node['type']) if key in node else ():
            names = all_arguments(component)[0]
            if key not in names:
                return _unknown_key(path, key, names, f'{component.__name__} takes')
    return None


def component_classes(kind: str | Callable) -> list[Callable]:
    """What a ``type`` of a config can stand for: usually one class, none for an unknown name."""
    if not isinstance(kind, str):
        return [kind]
    # A registry that does not know a name looks for a module of that name, which takes long.
    registries = [registry for registry in _registries() if _knows(registry, kind)] or _registries()
    found = {id(component): component for registry in registries if (component := registry.get(kind)) is not None}
    return list(found.values())


def _knows(registry: Registry | None, kind: str) -> bool:
    return registry is not None and (kind in registry.module_dict or _knows(registry.parent, kind))


def _registries() -> list[Registry]:
    """Those of mmseg, in which this project registers too."""
    return [value for value in vars(mmseg.registry).values() if isinstance(value, Registry)]


def all_arguments(component: Callable) -> tuple[set[str], bool]:
    """Argument names of a class, with those that its ``**kwargs`` hand to the base classes, and whether any other name
    is taken as well."""
    if not inspect.isclass(component):
        return _own_arguments(component)
    names: set[str] = set()
    for base in component.__mro__:
        if '__init__' in vars(base):
            own, is_open = _own_arguments(base)
            names |= own
            if not is_open:
                return names, False
    return names, True


def _own_arguments(component: Callable) -> tuple[set[str], bool]:
    parameters = inspect.signature(component).parameters.values()
    names = {
        parameter.name
        for parameter in parameters
        if parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    return names, any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _components(config: Mapping) -> Iterator[tuple[str, Mapping]]:
    return ((path, node) for path, node in mappings(config) if 'type' in node)


def _extra_keys(path: str, node: Mapping) -> set[str]:
    """Keys that the training loop reads itself, or a builder that the path tells."""
    if path == 'train_cfg.long_tail':
        return _STREAM_KEYS
    if path == 'model' and 'student' in node:
        # Read by `prepare_config`.
        return {'num_classes'}
    if path == 'optim_wrapper':
        # Read by the loop, whatever the wrapper.
        return {'accumulative_counts'}
    return _NORM_KEYS if path.endswith('norm_cfg') else set()


def _check_option(config: Mapping, option: str) -> None:
    node, path = config, ''
    for key in option.split('.'):
        if isinstance(node, Sequence) and not isinstance(node, str):
            valid = {str(number) for number in range(len(node))}
        elif isinstance(node, Mapping):
            valid = _valid_keys(node, path)
        else:
            raise ValueError(f'option {option}: {path} is {node!r}, which has no keys')
        if valid is not None and key not in valid:
            present = node if isinstance(node, Mapping) else ()
            raise ValueError('option ' + _unknown_key(path, key, valid, 'the keys there are', present))
        path = f'{path}.{key}'.lstrip('.')
        if isinstance(node, Mapping) and key not in node:
            # A new argument: what is below it is checked with the component.
            return
        node = node[key] if isinstance(node, Mapping) else node[int(key)]


def top_level_keys() -> set[str]:
    """What mmengine reads of a config."""
    return (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | _CONFIG_KEYS


def _valid_keys(node: Mapping, path: str) -> set[str] | None:
    """Keys that make sense in a dict of a config; None if any does."""
    if path == '':
        return top_level_keys()
    if 'type' not in node and path.split('.')[-1] in _FREE_FORM:
        return None
    if path == 'optim_wrapper' and 'optimizer' not in node:
        # One optimizer wrapper per part of the model.
        return set(node) | _extra_keys(path, node)
    keys = set(node) | _extra_keys(path, node)
    if path == 'randomness':
        return keys | set(inspect.signature(Runner.set_randomness).parameters) - {'self'}
    if 'dataset' in node and 'type' not in node:
        return keys | _LOADER_KEYS | set(inspect.signature(DataLoader).parameters)
    kind = node.get('type', 'OptimWrapper' if path == 'optim_wrapper' else None)
    components = [] if kind is None else component_classes(kind)
    for component in components:
        names, is_open = all_arguments(component)
        if is_open:
            return None
        keys |= names
    if components:
        keys |= _BUILDER_KEYS
    return keys


def _unknown_key(path: str, key: str, valid: set[str], verb: str, present: Collection[str] = ()) -> str:
    """What to say of a key that does not exist; ``present`` are keys that the config has there."""
    close = difflib.get_close_matches(key, valid, n=1)
    hint = f' Did you mean {close[0]}?' if close else ''
    hidden = (_BUILDER_KEYS | _FILLED_IN) - set(present)
    listed = ', '.join(sorted(valid - hidden)) or 'no keys'
    return f'{path}.{key}'.lstrip('.') + f' does not exist: {verb} {listed}.{hint}'
