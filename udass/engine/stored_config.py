"""Configs that are stored with results: in a checkpoint, in the folder of a run. They are data and never run."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TASK_UTILS
from torch import nn

from udass.engine.config_files import OWN_MODULES, entries, refuse_code, register_all, registered_names
from udass.engine.renamed import with_new_names
from udass.io.settings import parse_keys

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
    try:
        return Config(with_new_names(parse_keys(text, path, keys)))
    except ValueError as error:
        raise ValueError(f'{error}: {_GIVE_CONFIG}') from error


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


def open_test_dataset(config: Mapping) -> BaseSegDataset:
    """The data set that a run with this stored config was tested on, to read its images and labels.

    Raises:
        ValueError, OSError: the data set is not there, the config has none, or one that a stored config may not name.
    """
    loader = config.get('test_dataloader')
    if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping):
        raise ValueError('the config that was kept has no test_dataloader that can be read without running it')
    register_all()
    init_default_scope('mmseg')
    return DATASETS.build(dataset_settings(loader['dataset']))


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
