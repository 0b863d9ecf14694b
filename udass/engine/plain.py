"""Values of any kind as the plain ones that a checkpoint or the text of a config can hold."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

# What torch.load reads with weights_only=True, besides containers.
_READABLE = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device, torch.Size)
_MAPPINGS = (OrderedDict, Counter)


def to_plain(value: object) -> Any:  # noqa: ANN401  the kind of the result follows from the value
    """A value of a checkpoint as torch.load reads it with ``weights_only=True``; tensors are kept.

    Configs hold mappings of mmengine, numbers and arrays of NumPy, and paths. They become dicts, numbers, lists and
    strings; what has no plain form (a class, a function) becomes its text.
    """
    if isinstance(value, torch.Tensor) or type(value) in _READABLE:
        return value
    if isinstance(value, Mapping):
        kind = type(value) if type(value) in _MAPPINGS else dict
        result = kind()
        for key, item in value.items():
            result[to_plain(key)] = to_plain(item)
        if kind is OrderedDict:
            # A state dict says there which versions its modules have.
            vars(result).update(vars(value))
        return result
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, np.generic):
        item = value.item()
        # Numbers that Python has no type for stay those of NumPy.
        return str(item) if isinstance(item, np.generic) else to_plain(item)
    for kind in (int, float, complex, str, bytes):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, tuple):
        return tuple(map(to_plain, value))
    if isinstance(value, Set | Sequence):
        return (set if isinstance(value, Set) else list)(map(to_plain, value))
    return str(value)


def plain_settings(node: Any) -> Any:  # noqa: ANN401  as above
    """Settings without what mmengine cannot write as source text: NumPy's numbers and arrays, and paths.

    Args:
        node: a config's content; dicts and lists are changed in place.
    """
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
