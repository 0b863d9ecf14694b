"""The published configs: part of the package where it was installed, the folder ``configs`` beside it in a checkout."""

import difflib
import json
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
CONFIGS = _PACKAGE / 'configs' if (_PACKAGE / 'configs').is_dir() else _PACKAGE.parent / 'configs'


def find_config(config: str | Path) -> Path:
    """The file of a config: the given one, or that of the published config of this name, such as ``gta2cs_quadmix``;
    FileNotFoundError if there is neither."""
    if Path(config).is_file():
        return Path(config)
    published = CONFIGS / f'{config}.py'
    if Path(config).name == str(config) and published.is_file():
        return published
    close = difflib.get_close_matches(Path(config).stem, [path.stem for path in CONFIGS.glob('*.py')], n=3)
    hint = f' Did you mean {" or ".join(close)}?' if close else ''
    raise FileNotFoundError(f'config {config} does not exist: give a file, or a name that `udass configs` lists.{hint}')


def read_index() -> dict[str, dict]:
    """What is known of each published config, by name: benchmark, method, network, scores, parameters and FLOPs."""
    return json.loads((CONFIGS / 'index.json').read_text(encoding='utf-8'))
