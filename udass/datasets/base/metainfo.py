"""Check what a data set states about its classes and label ids."""

from collections.abc import Mapping

import numpy as np

from udass.io.labels import IGNORE_INDEX


def check_metainfo(metainfo: Mapping, owner: str) -> None:
    """Raises ValueError if classes are missing, doubled or more than 255, a list names something that is not a class, a
    rare class has an impossible weight or threshold, or a protocol has an unknown key."""
    classes = list(metainfo.get('classes') or ())
    if not classes or len(set(classes)) != len(classes):
        raise ValueError(f'{owner}: metainfo needs `classes`, a list of different names, got {classes}')
    if len(classes) > IGNORE_INDEX:
        raise ValueError(
            f'{owner}: {len(classes)} classes are more than {IGNORE_INDEX}, the number that fits into labels of 8 bits '
            f'beside {IGNORE_INDEX} (ignore). Join classes with label_table'
        )
    rare = metainfo.get('rare_classes', ())
    for entry in rare:
        complete = set(entry) == {'name', 'weight', 'min_pixels'}
        if not complete or entry['weight'] < 1 or entry['weight'] % 1 or entry['min_pixels'] < 0:
            raise ValueError(
                f'{owner}: an entry of rare_classes must be dict(name=..., weight=..., min_pixels=...) with an integer '
                f'weight of 1 or more and min_pixels of 0 or more, got {dict(entry)}'
            )
    lists = dict(thing_classes=metainfo.get('thing_classes', ()), rare_classes=[entry['name'] for entry in rare])
    for name, protocol in metainfo.get('protocols', {}).items():
        if isinstance(protocol, dict):
            if not set(protocol) <= {'classes', 'condition'}:
                raise ValueError(
                    f'{owner}: the protocol {name} must be a list of classes or dict(classes=..., condition=...), got '
                    f'{dict(protocol)}'
                )
            protocol = protocol.get('classes')
        lists[f'protocols.{name}'] = protocol or ()
    for key, names in lists.items():
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise ValueError(
                f'{owner}: {key} names {unknown}, which are not among the classes {classes}. Correct the list; if you '
                f'chose other classes with metainfo, give it a matching {key.split(".")[0]} too'
            )


def check_label_table(table: Mapping | None, num_classes: int, owner: str) -> dict[int, int]:
    """A label table with integer keys, which JSON and options of the command line write as strings.

    Args:
        table: raw id -> train id or 255; None = the identity over the classes plus 255.
        num_classes: of the train ids.
        owner: name of the data set, for the ValueError of what is no such table.
    """
    if table is None:
        return {train_id: train_id for train_id in (*range(num_classes), IGNORE_INDEX)}
    if not isinstance(table, Mapping) or not table:
        raise ValueError(f'{owner}: label_table must be a dict such as {{0: 0, 7: 1, 255: 255}}, got {table!r}')
    numbers = {}
    for raw, new in table.items():
        number = int(raw) if isinstance(raw, str) and raw.isdecimal() else raw
        if any(isinstance(value, bool) or not isinstance(value, int | np.integer) for value in (number, new)):
            raise ValueError(f'{owner}: label_table maps {raw!r} to {new!r}; both must be integers')
        numbers[int(number)] = int(new)
    allowed = (*range(num_classes), IGNORE_INDEX)
    wrong = {raw: new for raw, new in numbers.items() if raw < 0 or new not in allowed}
    if wrong:
        raise ValueError(
            f'{owner}: label_table maps {wrong}; raw ids must be 0 or larger and train ids in 0..{num_classes - 1} or '
            f'{IGNORE_INDEX} (ignore)'
        )
    return numbers
