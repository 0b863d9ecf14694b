"""Reading config files, and configs stored in checkpoints. Only ``.py`` files are programs; others run no code."""

import importlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import mmengine.registry
import mmseg.registry
import yaml
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmengine.fileio import PickleHandler, YamlHandler, register_handler
from mmengine.registry import Registry, init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TASK_UTILS
from torch import nn

from udass.engine.renamed import check_renamed, mappings, with_new_names
from udass.io.published import CONFIGS, find_config
from udass.io.settings import parse_keys

_DATA_SUFFIXES = ('.yaml', '.yml', '.json')
_BASE_VALUE = re.compile(r'\{\{\s*_base_\.([\w\.]+)\s*\}\}')
# What mmengine looks up by name, in registries, and by import where there is no entry.
_NAME_KEYS = ('type', 'runner_type', 'constructor')
# As above, but optional: functions without a registry of their own.
_FUNCTION_KEYS = ('norm_layer', 'act_layer', 'collate_fn', 'worker_init_fn')
# The modules of custom_imports that register this project.
OWN_MODULES = ('udass', 'udass.all_modules')
# Packages with registries, and where mmengine's client of memcached is imported from.
_IMPORT_KEYS = ('_scope_', 'default_scope', 'sys_path')
# Registered, and made to evaluate or to import what their arguments say.
_RUN_ARGUMENTS = {'RFSearchHook', 'MMFullyShardedDataParallel', 'VPD'}
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
    'ResizeToCover',
    'PackUDAInputs',
    'PackSegInputs',
    'PackClip',
}
_GIVE_CONFIG = (
    'give the config file of its network first, then the checkpoint. A config file is a program: give one '
    'that you trust'
)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, and tuples, which mmengine writes."""


_PlainLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


class SafeYamlHandler(YamlHandler):
    """mmengine's handler of YAML files, which builds plain values only."""

    def load_from_fileobj(self, file: object) -> object:
        return yaml.load(file, Loader=_PlainLoader)


class WriteOnlyPickleHandler(PickleHandler):
    """mmengine's handler of pickles, which writes them and reads none."""

    def load_from_fileobj(self, file: object) -> object:
        raise ValueError('a pickle can run any code while it is read: save its content as .json, .yaml or .npy')


def read_config(path: str | Path) -> Config:
    """A config, by its file or published name, as the file has it, before anything is checked; FileNotFoundError if it
    or a file of its ``_base_`` does not exist, ValueError if it cannot be read, or is a data file that names code."""
    register_all()
    path = find_config(path)
    is_data = path.suffix in _DATA_SUFFIXES
    try:
        if is_data:
            _check_data_file(path)
        # Variables of mmengine in a data file could make one key of another.
        options = ('import_custom_modules', 'use_predefined_variables', 'use_environment_variables')
        config = Config.fromfile(path, **dict.fromkeys(options, not is_data))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'config {path} needs {error.filename}, which does not exist; correct its _base_ '
            '(paths are relative to the file that names them)'
        ) from error
    except SyntaxError as error:
        raise ValueError(
            f'config {path} or a file of its _base_ is not valid Python: line {error.lineno}, '
            f'{error.msg}: {(error.text or "").strip()}'
        ) from error
    except ImportError as error:
        raise ValueError(
            f'config {path} needs a Python module that cannot be imported ({_missing_module(error)}): install its '
            'package, put its folder on PYTHONPATH, or remove it from custom_imports'
        ) from error
    except Exception as error:
        raise ValueError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    if is_data:
        try:
            _check_imports(config)
            check_renamed(config._cfg_dict)
            refuse_code(config.to_dict(), registered_names(), '')
        except ValueError as error:
            raise ValueError(
                f'config {path}: {error}. If you trust it, write it as a .py file, which is run as a program'
            ) from error
    return config


def register_all() -> None:
    """Fills the registries with the components of this project, which import this module themselves, and lets mmengine
    build plain values only from whatever it reads: configs, class weights, annotations."""
    importlib.import_module('udass.all_modules')
    register_handler(['yaml', 'yml'])(SafeYamlHandler)
    register_handler(['pickle', 'pkl'])(WriteOnlyPickleHandler)


def _missing_module(error: ImportError) -> str:
    """The first cause of an error of importing; mmengine wraps it, with all folders of Python around it."""
    cause: BaseException = error
    while (cause.__cause__ or cause.__context__) is not None:
        cause = cause.__cause__ or cause.__context__
    return str(cause)


def registered_names() -> set[str]:
    """Names of everything in the registries of mmengine, mmcv, mmseg and this project."""
    modules = (mmseg.registry, mmengine.registry)
    registries = [value for module in modules for value in vars(module).values() if isinstance(value, Registry)]
    return {name for registry in registries for name in entries(registry)}


def entries(registry: Registry) -> dict[str, type]:
    """What a registry and its parents have by name. Nothing is looked up, as that could import a module of the name."""
    register_all()
    found: dict[str, type] = {}
    while registry is not None:
        registry.import_from_location()
        found = {**registry.module_dict, **found}
        registry = registry.parent
    return found


def _names_of(registry: Registry, base: type) -> set[str]:
    return {name for name, kind in entries(registry).items() if isinstance(kind, type) and issubclass(kind, base)}


def refuse_code(settings: object, names: Collection[str], path: str) -> None:
    """Raises ValueError if building these settings would run code: if a component is none of ``names`` (mmengine would
    import a module of that name), or runs its arguments."""
    for where, node in mappings(settings, path):
        for key in _NAME_KEYS:
            name = node.get(key)
            if key in node and (not isinstance(name, str) or name not in names or name in _RUN_ARGUMENTS):
                raise ValueError(
                    f'{where}.{key}'.lstrip('.') + f' is {name!r}, which is not a registered '
                    'component, or one that runs its arguments as code'
                )
        imported = [key for key in _FUNCTION_KEYS if isinstance(node.get(key), str) and '.' in node[key]]
        imported += [key for key in _IMPORT_KEYS if node.get(key) not in (None, 'mmseg', 'mmengine')]
        for key in imported:
            raise ValueError(f'{where}.{key}'.lstrip('.') + f' is {node[key]!r}, a name that would have to be imported')


def _check_data_file(path: Path) -> None:
    """Refuses expressions in a data file, and files of its ``_base_`` that are programs of others."""
    # As mmengine replaces them, so that both of us read the same keys.
    text = _BASE_VALUE.sub(r'"_\1_000000"', path.read_text(encoding='utf-8'))
    if '{{' in text:
        raise ValueError(
            f'{path} holds an expression: {text[text.index("{{") :].splitlines()[0]}. A {path.suffix} file '
            'is data, in which only {{_base_.KEY}} is replaced: write the value itself'
        )
    content = json.loads(text) if path.suffix == '.json' else yaml.load(text, Loader=_PlainLoader)
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds a {type(content).__name__}, not the keys of a config')
    bases = content.get('_base_') or []
    for base in [bases] if isinstance(bases, str) else bases:
        file = path.parent / base
        if file.suffix in _DATA_SUFFIXES and '::' not in base:
            _check_data_file(file)
        elif '::' in base or not file.resolve().is_relative_to(CONFIGS.resolve()):
            raise ValueError(
                f'{path} builds on {file}, which is a program. A {path.suffix} file is data: it may build '
                f'on other data, and on the configs in {CONFIGS}. If you trust that file, build on it in '
                'a .py file'
            )


def _check_imports(config: Config) -> None:
    """Drops the import of this project, which is there, and refuses others."""
    others = _other_modules(config)
    config.pop('custom_imports', None)
    if others:
        raise ValueError(f'custom_imports names {others}, but nothing is imported for a data file')


def stored_config(checkpoint: Mapping, path: str | Path, keys: tuple[str, ...]) -> Config:
    """The named keys of the config in a checkpoint's ``meta``, without those that it does not have; ValueError if there
    is no config, or one of the keys is not made of constants."""
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'{path} holds no config, as it is not the checkpoint of a training: {_GIVE_CONFIG}')
    try:
        return Config(with_new_names(parse_keys(text, path, keys)))
    except ValueError as error:
        raise ValueError(f'{error}: {_GIVE_CONFIG}') from error


def inference_config(checkpoint: Mapping, path: str | Path) -> Config:
    """The part of a checkpoint's config that inference uses, safe to build: network and loaders of the test data.

    Settings of start weights, which would come from files that the config chooses, are left out. ValueError if there is
    no config, it is not made of constants, has a component that is no registered module, or names a file in its
    network.
    """
    keys = ('model', 'test_dataloader', 'val_dataloader', 'custom_imports')
    return checked_config(stored_config(checkpoint, path, keys), path)


def checked_config(config: Config, path: str | Path) -> Config:
    """The part of a config from the file ``path`` that inference uses; see `inference_config`."""
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
        names = _other_modules(config)
        advice = f'The modules that it names ({names}) are not imported: import them before, or ' if names else ''
        raise ValueError(f'the config in {path}: {error}. {advice}{_GIVE_CONFIG}') from error
    return config


def first_dataset(dataset: Mapping) -> Mapping:
    """The config of the first data set inside a ``ConcatDataset`` or ``RepeatDataset``."""
    while 'datasets' in dataset or 'dataset' in dataset:
        dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset['dataset']
    return dataset


def dataset_settings(settings: Mapping) -> dict:
    """The stored config of a data set, or of several that are joined, safe to build, to read its images and labels
    without flow; ValueError if it is no plain data set, or its pipeline does more than reading and resizing."""
    parts = settings.get('datasets')
    if settings.get('type') == 'ConcatDataset' and isinstance(parts, list) and all(isinstance(p, dict) for p in parts):
        return {'type': 'ConcatDataset', 'datasets': [dataset_settings(part) for part in parts]}
    steps = settings.get('pipeline', [])
    pipeline = [step for step in steps if not isinstance(step, dict) or step.get('type') != 'LoadFlow']
    refuse_code({**settings, 'pipeline': []}, _names_of(DATASETS, BaseSegDataset), 'dataset')
    refuse_code(pipeline, _READING, 'dataset.pipeline')
    return {**settings, 'pipeline': pipeline}


def open_test_dataset(config: Mapping) -> BaseSegDataset | ConcatDataset:
    """The data set that a run with this stored config was tested on, to read its images and labels; ValueError or
    OSError if it is not there, or the config has none, or one that a stored config may not name."""
    loader = config.get('test_dataloader')
    if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping):
        raise ValueError('the stored config has no test_dataloader that can be read without running it')
    register_all()
    init_default_scope('mmseg')
    return DATASETS.build(dataset_settings(loader['dataset']))


def _checked_model(model: dict) -> dict:
    """The network of a model's config without start weights, and which branch is tested; ValueError if it has a
    component that is not registered or is no module, or names a file."""
    if 'student' in model:
        model = {'student': model['student'], 'eval_branch': model.get('eval_branch', 'student')}
    model = without_start_weights(model)
    refuse_code(model, _names_of(MODELS, nn.Module) | set(entries(TASK_UTILS)), 'model')
    _refuse_files(model, 'model')
    return model


def _other_modules(config: Config) -> str:
    """Names of the modules that a config imports, but for those of this project."""
    imports = (config.get('custom_imports') or {}).get('imports') or []
    names = [imports] if isinstance(imports, str) else imports
    return ', '.join(str(name) for name in names if name not in OWN_MODULES)


def without_start_weights(node: object) -> object:
    """A copy without the settings that say where start weights come from."""
    if isinstance(node, Mapping):
        return {key: without_start_weights(value) for key, value in node.items() if key not in _START_WEIGHTS}
    if isinstance(node, list | tuple):
        return type(node)(map(without_start_weights, node))
    return node


def _refuse_files(node: object, name: str) -> None:
    """Raises ValueError if a setting of a network names a file or an address."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            _refuse_files(value, f'{name}.{key}')
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            _refuse_files(value, f'{name}.{number}')
    elif isinstance(node, str) and (any(character in node for character in '/\\:') or name.endswith('.class_weight')):
        raise ValueError(f'{name} of the config is {node!r}, a file or an address, which is not read')
