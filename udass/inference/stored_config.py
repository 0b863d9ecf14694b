"""The config that a checkpoint carries, read without running it.

mmengine writes a config into its checkpoints as Python code. Reading a checkpoint must not run code from the file, so
that this text is parsed, and only what a config consists of is taken: constants, lists, tuples, dicts, ``dict(...)``.
"""
import ast
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config


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
        raise ValueError(f'{path} carries no config (files of tools/convert_checkpoint.py and of other projects have '
                         'none): give the config file of its network first, then the checkpoint')
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f'the config in {path} cannot be read ({error.msg}, line {error.lineno}): give the config '
                         'file first, then the checkpoint') from error
    found = {}
    for statement in statements:
        name = _assigned(statement)
        if name in keys:
            try:
                found[name] = _value(statement.value)
            except ValueError as error:
                raise ValueError(f'{name} of the config in {path} holds {error}, which is not run: give the config '
                                 'file first, then the checkpoint') from error
    return Config(found)


def _assigned(statement: ast.stmt) -> str | None:
    """Name of the variable that a statement sets, None for any other statement."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg is not None}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    try:
        # Numbers, strings, None, sets: no call, no name.
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f'`{ast.unparse(node)}`') from None
