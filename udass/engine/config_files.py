"""Reading config files: ``.py`` files are programs, ``.yaml`` and ``.json`` files are data and run no code."""

import importlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import mmengine.registry
import mmseg.registry
import yaml
from mmengine.config import Config
from mmengine.fileio import PickleHandler, YamlHandler, register_handler
from mmengine.registry import Registry

from udass.engine.renamed import check_renamed

_DATA_SUFFIXES = ('.yaml', '.yml', '.json')
# Of this project: a data file may build on them.
_CONFIGS = Path(__file__).parents[2] / 'configs'
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


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, and tuples, which mmengine writes."""


_PlainLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


# For whatever mmengine and mmseg read: configs, class weights, annotations.
@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """mmengine's handler of YAML files, which builds plain values only."""

    def load_from_fileobj(self, file: object) -> object:
        return yaml.load(file, Loader=_PlainLoader)


@register_handler(['pickle', 'pkl'])
class WriteOnlyPickleHandler(PickleHandler):
    """mmengine's handler of pickles, which writes them and reads none."""

    def load_from_fileobj(self, file: object) -> object:
        raise ValueError(
            'a pickle can run any code while it is read, so none is read: save its content as .json, .yaml or .npy'
        )


def read_config(path: str | Path) -> Config:
    """A config as the file has it, before anything is checked.

    Raises:
        FileNotFoundError: a file of its ``_base_`` does not exist.
        ValueError: the file cannot be read, or it is a data file that names code. A ``.py`` file is a program: whatever
            it raises is said together with its name.
    """
    register_all()
    is_data = Path(path).suffix in _DATA_SUFFIXES
    try:
        if is_data:
            _check_data_file(Path(path))
        # Variables of mmengine in a data file could make one key of another.
        config = Config.fromfile(
            path,
            import_custom_modules=not is_data,
            use_predefined_variables=not is_data,
            use_environment_variables=not is_data,
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'config {path} needs {error.filename}, which does not exist; correct its _base_ '
            '(paths are relative to the file that names them)'
        ) from error
    except SyntaxError as error:
        raise ValueError(
            f'config {path} or a file of its _base_ is no valid Python: line {error.lineno}, '
            f'{error.msg}: {(error.text or "").strip()}'
        ) from error
    except ImportError as error:
        raise ValueError(
            f'config {path} needs a Python module that cannot be imported ({_missing_module(error)}): '
            'install its package, put its folder on PYTHONPATH, or remove it from '
            'custom_imports'
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
                f'config {path}: {error}. If you trust it, write it as a .py file: that is a program, and is run'
            ) from error
    return config


def register_all() -> None:
    """Fill the registries with the components of this project, which import this module themselves."""
    importlib.import_module('udass.all_modules')


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


def refuse_code(settings: object, names: Collection[str], path: str) -> None:
    """Makes sure that building what data says runs no code but that of registered components.

    Args:
        settings: content of a config.
        names: of the components that it may have.
        path: of the settings in the config, for the message.

    Raises:
        ValueError: a component is not registered (mmengine would import what it is called), or runs its arguments.
    """
    for where, node in _mappings(settings, path):
        for key in _NAME_KEYS:
            name = node.get(key)
            if key in node and (not isinstance(name, str) or name not in names or name in _RUN_ARGUMENTS):
                raise ValueError(
                    f'{where}.{key}'.lstrip('.') + f' is {name!r}: data may only name registered '
                    'components that run none of their arguments, and nothing is imported for it'
                )
        imported = [key for key in _FUNCTION_KEYS if isinstance(node.get(key), str) and '.' in node[key]]
        imported += [key for key in _IMPORT_KEYS if node.get(key) not in (None, 'mmseg', 'mmengine')]
        for key in imported:
            raise ValueError(f'{where}.{key}'.lstrip('.') + f' is {node[key]!r}, a name that would have to be imported')


def _mappings(node: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """Every dict below ``node``, with its dotted path."""
    if isinstance(node, Mapping):
        yield path, node
        for key, value in node.items():
            # albumentations finds these itself, by their names in its own module.
            if not (node.get('type') == 'Albu' and key == 'transforms'):
                yield from _mappings(value, f'{path}.{key}'.lstrip('.'))
    elif isinstance(node, Sequence | set) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from _mappings(value, f'{path}.{number}'.lstrip('.'))


def _check_data_file(path: Path) -> None:
    """Refuses expressions in a data file, and files of its ``_base_`` that are programs of others."""
    # As mmengine replaces them, so that both of us read the same keys.
    text = _BASE_VALUE.sub(r'"_\1_000000"', path.read_text(encoding='utf-8'))
    if '{{' in text:
        raise ValueError(
            f'{path} holds an expression: {text[text.index("{{") :].splitlines()[0]}. A {path.suffix} file '
            'is data: only {{_base_.KEY}} is replaced'
        )
    content = json.loads(text) if path.suffix == '.json' else yaml.load(text, Loader=_PlainLoader)
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds a {type(content).__name__}, not the keys of a config')
    bases = content.get('_base_') or []
    for base in [bases] if isinstance(bases, str) else bases:
        file = path.parent / base
        if file.suffix in _DATA_SUFFIXES and '::' not in base:
            _check_data_file(file)
        elif '::' in base or not file.resolve().is_relative_to(_CONFIGS.resolve()):
            raise ValueError(
                f'{path} builds on {file}, which is a program. A {path.suffix} file is data: it may build '
                f'on other data, and on the configs in {_CONFIGS}. If you trust that file, build on it in '
                'a .py file'
            )


def _check_imports(config: Config) -> None:
    """Drops the import of this project, which is there, and refuses others."""
    imports = (config.pop('custom_imports', None) or {}).get('imports', [])
    others = [name for name in ([imports] if isinstance(imports, str) else imports) if name not in OWN_MODULES]
    if others:
        raise ValueError(f'custom_imports names {", ".join(map(str, others))}: nothing is imported for data')
