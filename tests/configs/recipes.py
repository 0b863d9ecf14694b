"""The published recipes: rows of docs/published_recipes.json, the values of a config, and the page that shows both.

python -m tests.configs.recipes     # writes docs/published_recipes.md
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from tests.configs.small import CONFIGS, PUBLISHED, VIDEO
from udass.datasets import UDADataset
from udass.engine.config import component_classes, top_level_keys

DOCS = Path(__file__).parents[2] / 'docs'
DATA, PAGE = DOCS / 'published_recipes.json', DOCS / 'published_recipes.md'
NAMES = PUBLISHED + VIDEO
# What a data set says of its labels, beside the config: the part of the loader -> attributes.
LABELS = {
    'train_dataloader.source': ('classes', 'label_table', 'thing_classes', 'rare_classes'),
    'train_dataloader.target': ('pseudo_margins',),
    'val_dataloader': ('classes', 'label_table', 'protocols'),
}
# Networks equal the published ones in tests of their own, optimizers and schedules are torch's and mmengine's.
WITHOUT_DEFAULTS = ('model.student', 'optim_wrapper', 'param_scheduler')


def read() -> dict:
    """Sources, excluded keys and sections of rows."""
    return json.loads(DATA.read_text(encoding='utf-8'))


# --------------------------------------------------------------------------- values of a config


def values(config: Config) -> dict[str, object]:
    """Dotted key -> value, as JSON has it, of all that a config sets and of the defaults that it leaves.

    A list of components has its types under its own key and their arguments under their types:
    ``pipeline`` is ['LoadImage', 'Resize'], ``pipeline.Resize.scale`` a size. What is None is absent. Of the test, only
    what differs from the validation is listed.
    """
    content = {key: value for key, value in config.to_dict().items() if key in top_level_keys()}
    found = json.loads(json.dumps({**dict(_leaves(content)), **_labels(config)}))
    return {
        key: value
        for key, value in found.items()
        if not key.startswith('test_') or found.get(f'val_{key.removeprefix("test_")}') != value
    }


def _leaves(node: object, path: str = '') -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        for key, value in _with_defaults(node, path).items():
            yield from _leaves(value, f'{path}.{key}'.lstrip('.'))
    elif isinstance(node, list) and node and all(isinstance(item, Mapping) and 'type' in item for item in node):
        yield path, [item['type'] for item in node]
        for item in node:
            for key, value in _leaves(item, f'{path}.{item["type"]}'):
                if not key.endswith(f'.{item["type"]}.type'):
                    yield key, value
    elif node is not None:
        yield path, node


def _with_defaults(node: Mapping, path: str) -> dict:
    """A component with the arguments that it leaves at their defaults."""
    components = component_classes(node['type']) if 'type' in node and not path.startswith(WITHOUT_DEFAULTS) else []
    defaults = {
        parameter.name: parameter.default
        for component in components
        for base in _own_bases(component)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.default is not inspect.Parameter.empty
    }
    return {**defaults, **node}


def _own_bases(component: type) -> list[type]:
    """The class, after those to which a data set hands the options that it shares with others."""
    bases = [base for base in inspect.getmro(component) if issubclass(base, UDADataset)]
    return bases[::-1] or [component]


def _labels(config: Config) -> dict[str, object]:
    """What the data sets say of their labels; nothing is read from disk."""
    init_default_scope('mmseg')
    found = {}
    for path, names in LABELS.items():
        loader = config
        for part in path.split('.'):
            loader = loader.get(part)
        if loader is None:
            continue
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        known = {
            **dataset.metainfo,
            'label_table': {raw: new for raw, new in dataset.label_table.items() if new != 255},
        }
        if 'PseudoMargins' not in [transform['type'] for transform in loader.dataset.pipeline]:
            known['pseudo_margins'] = None
        found.update({f'{path}.dataset.{name}': known[name] for name in names if known.get(name)})
    return found


# --------------------------------------------------------------------------- rows of a config


@cache
def parts(file: str) -> tuple[str, ...]:
    """A config file and the files of its ``_base_``, relative to configs/ and without suffix."""
    path = CONFIGS / f'{file}.py'
    bases = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding='utf-8')).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_'
    ]
    found = [file]
    for base in bases[0] if bases else ():
        found += parts(str((path.parent / base).resolve().relative_to(CONFIGS).with_suffix('')))
    return tuple(found)


def distinct() -> list[str]:
    """A config for each combination of network and method."""
    found = {tuple(part for part in parts(name) if '/models/' in part or '/uda/' in part): name for name in NAMES}
    return sorted(found.values())


def holds(section: Mapping, name: str) -> bool:
    """Whether a section is about a config: a pattern fits its name or that of a file it is made of.

    ``but_not`` has the patterns of exceptions.
    """

    def fits(patterns: list[str]) -> bool:
        return any(fnmatch(part, pattern) for part in parts(name) for pattern in patterns)

    return fits(section['holds_for']) and not fits(section.get('but_not', []))


def rows(name: str, sections: list[dict]) -> dict[str, dict]:
    """Key -> row of a config; of several rows with the key the last one counts."""
    return {row['key']: row for section in sections if holds(section, name) for row in section['rows'] if 'key' in row}


def ours(row: Mapping) -> object:
    """The value that a config must have."""
    return row['ours'] if 'ours' in row else row['published']


def problems(name: str, config: Config, data: Mapping) -> list[str]:
    """Where a config and its rows disagree."""
    patterns = [pattern for entry in data['excluded'] for pattern in entry['keys']]
    known, expected = values(config), rows(name, data['sections'])
    found = []
    for key in sorted(known.keys() | expected.keys()):
        if any(fnmatch(key, pattern) for pattern in patterns):
            continue
        if key not in expected:
            found.append(f'{name}: {key} = {known[key]!r} has no row')
        elif known.get(key) != ours(expected[key]):
            found.append(f'{name}: {key} is {known.get(key)!r}, its row says {ours(expected[key])!r}')
    return found


# --------------------------------------------------------------------------- the page

INTRODUCTION = """# Published recipes

This page lists every value that shapes training or score: what the published code has, with file and line, and what
our configs have. Where the two differ, the reason stands beside them, and the first table collects these rows. The page
is made from [`published_recipes.json`](published_recipes.json):

```shell
python -m tests.configs.recipes
```

`tests/configs/test_published_recipes.py` loads every config and compares each of its values, and each default that it
leaves to a component, with the rows. A value that is changed, added or removed without its row fails the test. A row
without a key describes what the code does where no setting shows it. Learning rates over the iterations and the
parameters that decay are computed in `tests/configs/test_optimization.py`.

The tables follow the files in `configs/_base_`. If two tables have a row for one setting of a config, the later one
holds. The published code was read at these commits:
"""
CELLS = '| setting | published | ours | reason or remark |\n| --- | --- | --- | --- |'


def page(data: Mapping) -> str:
    """docs/published_recipes.md."""
    lines = [INTRODUCTION]
    lines += [
        f'- {name}: [`{source["commit"][:7]}`]({source["repository"]}/tree/{source["commit"]})'
        for name, source in data['sources'].items()
    ]
    lines += [
        '',
        '## Where ours differ',
        '',
        '| tables | setting | published | ours | reason |',
        '| --- | --- | --- | --- | --- |',
    ]
    for section in data['sections']:
        for row in section['rows']:
            if 'reason' in row:
                lines.append(f'| {section["title"]} | {" | ".join(_cells(row, data["sources"]))} |')
    for section in data['sections']:
        names = ', '.join(f'`{name}`' for name in NAMES if holds(section, name))
        lines += ['', f'## {section["title"]}', '', f'{section.get("note", "")} Holds for {names}.'.strip(), '', CELLS]
        lines += [f'| {" | ".join(_cells(row, data["sources"]))} |' for row in section['rows']]
    lines += ['', '## Not in the tables', '', '| keys | why |', '| --- | --- |']
    lines += [f'| {", ".join(f"`{key}`" for key in entry["keys"])} | {entry["why"]} |' for entry in data['excluded']]
    return '\n'.join(lines) + '\n'


def _cells(row: Mapping, sources: Mapping) -> list[str]:
    """Setting, published value with its place, our value, and what is to be said of it."""
    setting = row['setting'] + (f' (`{row["key"]}`)' if 'key' in row else '')
    published = ''
    if row.get('source') is not None:
        places = row['source'] if isinstance(row['source'], list) else [row['source']]
        published = f'{_text(row["published"])} ({", ".join(_link(place, sources) for place in places)})'
    own = _text(row['ours']) if 'ours' in row else 'equal'
    return [setting, published, f'**{own}**' if 'reason' in row else own, row.get('reason', row.get('same', ''))]


def _text(value: object) -> str:
    if value is None:
        return 'none'
    return (value if isinstance(value, str) else f'`{json.dumps(value)}`').replace('|', '\\|')


def _link(place: str, sources: Mapping) -> str:
    """`MIC experiments.py:370` with the address of the line."""
    name, path, line = split_source(place)
    source = sources[name]
    return f'[{name} {Path(path).name}:{line}]({source["repository"]}/blob/{source["commit"]}/{path}#L{line})'


def split_source(place: str) -> tuple[str, str, str]:
    """Repository, path and line of a source as the rows have it."""
    name, rest = place.split(' ', 1)
    path, line = rest.rsplit(':', 1)
    return name, path, line


if __name__ == '__main__':
    PAGE.write_text(page(read()), encoding='utf-8')
