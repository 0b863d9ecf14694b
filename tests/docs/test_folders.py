"""docs/how_it_works.md names every folder of the package, and what it imports."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDERS = {path.parent.name for path in (PROJECT / 'udass').glob('*/__init__.py')}


def imported(folder):
    """Other folders of the package that the modules of one import."""
    found = set()
    for path in (PROJECT / 'udass' / folder).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [node.module or '']
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            found |= {name.split('.')[1] for name in names if name.startswith('udass.')}
    return found & FOLDERS - {folder}


def test_the_table_of_folders_is_complete_and_true():
    text = (PROJECT / 'docs' / 'how_it_works.md').read_text()
    rows = dict(re.findall(r'^\| `udass/(\w+)` \|.*\|(.*)\|$', text, re.MULTILINE))
    assert rows.keys() == FOLDERS
    for folder, cell in rows.items():
        assert set(re.findall(r'`(\w+)`', cell)) == imported(folder), folder
