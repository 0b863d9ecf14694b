"""Read settings from stored configs, which mmengine writes as Python source and which are parsed, never run."""

import ast
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch

_CONSTANTS = {'inf': math.inf, 'nan': math.nan}
# Of expressions that are not constant, of keys that cannot be one, and of deep nesting.
_NO_VALUE = (ValueError, TypeError, RecursionError)
_LONGEST_SOURCE = 200


def parse_settings(text: str, path: str | Path) -> dict:
    """All settings of a stored config (``Config.dump``). One that is not made of constants is returned as its source;
    ValueError, with the path, if the text is no Python source."""
    settings = {}
    for name, node in _assignments(text, path).items():
        try:
            settings[name] = _value(node)
        except _NO_VALUE:
            settings[name] = (ast.get_source_segment(text, node) or '')[:_LONGEST_SOURCE]
    return settings


def parse_keys(text: str, path: str | Path, keys: Collection[str]) -> dict:
    """The named settings of a stored config, without those that it does not have; ValueError if the text is no Python
    source, or one of the settings is not made of constants."""
    found = {}
    for name, node in _assignments(text, path).items():
        if name in keys:
            try:
                found[name] = _value(node)
            except _NO_VALUE as error:
                raise ValueError(f'{name} of the config in {path} holds {error}, which is not run') from error
    return found


def flat_settings(node: object, path: str = '') -> Iterator[tuple[str, object]]:
    """(dotted key, value) of every setting below ``node``, through dicts, and lists that hold some."""
    items = node.items() if isinstance(node, Mapping) else ()
    if isinstance(node, list | tuple) and any(isinstance(item, Mapping) for item in node):
        items = enumerate(node)
    if not items:
        yield path, node
    for key, item in items:
        yield from flat_settings(item, f'{path}.{key}'.lstrip('.'))


def _assignments(text: str, path: str | Path) -> dict[str, ast.expr]:
    """Name -> value of every assignment to a variable."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'the config in {path} cannot be parsed ({error})') from error
    return {
        statement.targets[0].id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
    }


def _value(node: ast.expr) -> object:
    """Value of a constant expression; ValueError, with its source, if it is none."""
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
