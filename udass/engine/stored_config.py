"""Configs that are stored with results: in a checkpoint, in the folder of a run. They are data and never run.

mmengine writes them as Python source. The source is parsed, and only what settings consist of is taken: constants,
lists, tuples, sets, dicts, ``dict(...)``, dtypes of torch.
"""

import ast
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TASK_UTILS
from torch import nn

from udass.engine.config_files import OWN_MODULES, entries, refuse_code, registered_names

# They fill a network that a checkpoint fills anyway, from files that the stored config would choose.
_START_WEIGHTS = {'init_cfg', 'pretrained', 'checkpoint', 'checkpoint_path'}
# Transforms that make a sample of files and change its size, and nothing else.
_READING = {
    'LoadImage',
    'LoadImageFromFile',
    'LoadLabels',
    'LoadAnnotations',
    'LoadClip',
    'LoadClipLabels',
    'Resize',
    'ClipResize',
    'PackUDAInputs',
    'PackSegInputs',
    'PackClip',
}
_CONSTANTS = {'inf': math.inf, 'nan': math.nan}
# Of expressions that are not constant, of keys that cannot be one, and of deep nesting.
_NO_VALUE = (ValueError, TypeError, RecursionError)
_LONGEST_SOURCE = 200
_GIVE_CONFIG = (
    'give the config file of its network first, then the checkpoint. A config file is a program: give one '
    'that you trust'
)


def stored_config(checkpoint: Mapping, path: str | Path, keys: tuple[str, ...]) -> Config:
    """The named keys of the config in a checkpoint's ``meta``; a key that it does not have is left out.

    Args:
        checkpoint: content of the file.
        path: of the file, for messages.
        keys: top-level keys of the config.

    Raises:
        ValueError: there is no config, or one of the keys is not made of constants.
    """
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            f'{path} carries no config (files of tools/convert_checkpoint.py and of other projects have '
            f'none): {_GIVE_CONFIG}'
        )
    found = {}
    for name, node in _assignments(text, path).items():
        if name in keys:
            try:
                found[name] = _value(node)
            except _NO_VALUE as error:
                raise ValueError(
                    f'{name} of the config in {path} holds {error}, which is not run: {_GIVE_CONFIG}'
                ) from error
    return Config(found)


def parse_settings(text: str, path: str | Path) -> dict:
    """All settings of a stored config; one that is not made of constants is given as its source.

    Args:
        text: as ``Config.dump`` writes it.
        path: of the file, for the message.

    Raises:
        ValueError: the text is no Python source.
    """
    settings = {}
    for name, node in _assignments(text, path).items():
        try:
            settings[name] = _value(node)
        except _NO_VALUE:
            settings[name] = (ast.get_source_segment(text, node) or '')[:_LONGEST_SOURCE]
    return settings


def inference_config(checkpoint: Mapping, path: str | Path) -> Config:
    """The part of a checkpoint's config that inference uses, safe to build: network and loaders of the test data.

    The network consists of registered modules and is given no file. Settings of start weights, which would come from
    files that the config chooses, are left out: the checkpoint fills the network.

    Args:
        checkpoint: content of the file.
        path: of the file, for messages.

    Raises:
        ValueError: there is no config, it is not made of constants, it has a component that is not registered or is no
            module, or names a file in its network.
    """
    config = stored_config(checkpoint, path, ('model', 'test_dataloader', 'val_dataloader', 'custom_imports'))
    try:
        if 'model' in config:
            config.model = _checked_model(config.model.to_dict())
        for name in ('test_dataloader', 'val_dataloader'):
            dataset = (config.get(name) or {}).get('dataset')
            if dataset is not None:
                dataset = first_dataset(dataset)
                refuse_code(dataset.get('pipeline', []), registered_names(), f'{name}.dataset.pipeline')
                # The data set itself is not built.
                known = getattr(entries(DATASETS).get(dataset.get('type')), 'METAINFO', None) or {}
                config[name] = {
                    'dataset': {
                        'pipeline': dataset.get('pipeline', []),
                        'metainfo': {**known, **(dataset.get('metainfo') or {})},
                    }
                }
    except (ValueError, TypeError, AttributeError) as error:
        # Also of what has not even the form of a config.
        raise ValueError(f'the config in {path}: {error}. {_own_modules(config)}{_GIVE_CONFIG}') from error
    return config


def first_dataset(dataset: Mapping) -> Mapping:
    """The config of the first data set inside a ``ConcatDataset`` or ``RepeatDataset``."""
    while 'datasets' in dataset or 'dataset' in dataset:
        dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset['dataset']
    return dataset


def dataset_settings(settings: Mapping) -> dict:
    """A stored data set's config that is safe to build, to read its images and labels.

    Args:
        settings: of one data set with its test pipeline. Flow is not read.

    Raises:
        ValueError: it is no plain data set, or its pipeline does more than reading and resizing.
    """
    kinds = {
        name for name, kind in entries(DATASETS).items() if isinstance(kind, type) and issubclass(kind, BaseSegDataset)
    }
    pipeline = [
        transform
        for transform in settings.get('pipeline', [])
        if not isinstance(transform, dict) or transform.get('type') != 'LoadFlow'
    ]
    refuse_code({**settings, 'pipeline': []}, kinds, 'dataset')
    refuse_code(pipeline, _READING, 'dataset.pipeline')
    return {**settings, 'pipeline': pipeline}


def _checked_model(model: dict) -> dict:
    """The network of a model's config without start weights, and which branch is tested.

    Raises:
        ValueError: it has a component that is not registered or is no module, or names a file.
    """
    if 'student' in model:
        model = {'student': model['student'], 'eval_branch': model.get('eval_branch', 'student')}
    model = _without_start_weights(model)
    modules = {name for name, kind in entries(MODELS).items() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    refuse_code(model, modules | set(entries(TASK_UTILS)), 'model')
    _refuse_files(model, 'model')
    return model


def _own_modules(config: Config) -> str:
    """Which modules of the user's own the config names, as a sentence; empty if there are none."""
    imports = (config.get('custom_imports') or {}).get('imports') or []
    names = [name for name in ([imports] if isinstance(imports, str) else imports) if name not in OWN_MODULES]
    return (
        f'The modules that it names ({", ".join(map(str, names))}) are not imported: import them before, or '
        if names
        else ''
    )


def _assignments(text: str, path: str | Path) -> dict[str, ast.expr]:
    """Name -> value of every assignment to a variable."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'the config in {path} cannot be parsed ({error}): {_GIVE_CONFIG}') from error
    return {
        statement.targets[0].id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
    }


def _value(node: ast.expr) -> object:
    """Value of a constant expression.

    Raises:
        ValueError: with the source of what is none.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == 'dict' and len(node.args) <= 1 and None not in [item.arg for item in node.keywords]:
            first = _value(node.args[0]) if node.args else {}
            if isinstance(first, dict):
                return {**first, **{item.arg: _value(item.value) for item in node.keywords}}
        if node.func.id == 'set' and not node.args and not node.keywords:
            return set()
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item) for item in node.elts)
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return _CONSTANTS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name):
        return -_value(node.operand)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'torch':
        value = getattr(torch, node.attr, None)
        if isinstance(value, torch.dtype):
            return value
    try:
        # Numbers, strings, None: no call, no name.
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f'`{ast.unparse(node)[:_LONGEST_SOURCE]}`') from None


def _without_start_weights(node: object) -> object:
    """A copy without the settings that say where start weights come from."""
    if isinstance(node, Mapping):
        return {key: _without_start_weights(value) for key, value in node.items() if key not in _START_WEIGHTS}
    if isinstance(node, list | tuple):
        return type(node)(map(_without_start_weights, node))
    return node


def _refuse_files(node: object, name: str) -> None:
    """Makes sure that no setting of a network names a file or an address.

    Raises:
        ValueError: one does.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            _refuse_files(value, f'{name}.{key}')
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            _refuse_files(value, f'{name}.{number}')
    elif isinstance(node, str) and (any(character in node for character in '/\\:') or name.endswith('.class_weight')):
        raise ValueError(f'{name} of the config is {node!r}, a file or an address, which is not read')
