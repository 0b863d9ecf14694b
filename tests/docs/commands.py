"""The commands of the documentation: fenced `shell` blocks, as argument lists."""

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGES = [
    PROJECT / 'README.md',
    *sorted((PROJECT / 'docs').rglob('*.md')),
    PROJECT / 'data' / 'README.md',
    PROJECT / 'work_dirs' / 'README.md',
]


@dataclass(frozen=True)
class Command:
    """One command: the page it is on, relative to the project, and its words without comment."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f'{self.page}: {shlex.join(self.words)}'


def read_commands(page: Path) -> list[Command]:
    """All commands of a page; a block may be indented, a line may go on after a backslash."""
    blocks = re.findall(r'^( *)```shell\n(.*?)^\1```', page.read_text(encoding='utf-8'), re.DOTALL | re.MULTILINE)
    lines = [line for _, block in blocks for line in block.replace('\\\n', ' ').splitlines()]
    words = [split(line) for line in lines]
    return [Command(str(page.relative_to(PROJECT)), tuple(parts)) for parts in words if parts]


def split(line: str) -> list[str]:
    """Words of a line as the shell makes them, comments left out, braces expanded."""
    return [word for part in shlex.split(line, comments=True) for word in expand(part)]


def expand(word: str) -> list[str]:
    """``a{b,c}d`` as abd, acd; several braces in a word are combined, nested ones are not known."""
    parts = re.split(r'\{([^{}]*,[^{}]*)\}', word)
    choices = [part.split(',') if number % 2 else [part] for number, part in enumerate(parts)]
    return [''.join(chosen) for chosen in itertools.product(*choices)]
