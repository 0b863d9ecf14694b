"""Hooks of MkDocs: the pages are written for a reader of the repository, and the site shows the same files.

Source: https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

# Pages of the API: package and title.
PACKAGES = {
    'uda': 'Training step',
    'models': 'Networks',
    'datasets': 'Data sets',
    'engine': 'Runner, loop and hooks',
    'inference': 'Trained networks',
    'export': 'Export',
    'flow': 'Optical flow',
    'evaluation': 'Evaluation',
}
_LINK = re.compile(r'\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)')


def on_files(files: Any, config: Any) -> Any:
    """Add a page per package, with every public class and function of its modules."""
    project = Path(config.config_file_path).parent
    for package, title in PACKAGES.items():
        paths = sorted((project / 'udass' / package).rglob('[!_]*.py'))
        names = ['.'.join(path.relative_to(project).with_suffix('').parts) for path in paths]
        content = '\n\n'.join([f'# {title}', *(f'## `{name}`\n\n::: {name}' for name in names)])
        files.append(File.generated(config, f'api/{package}.md', content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links that leave ``docs`` to the hosted source, or leave their text alone where it is not known."""
    folder = posixpath.dirname(page.file.src_uri)

    def replace(match: re.Match[str]) -> str:
        text, target, anchor = match.groups(default='')
        path = posixpath.normpath(posixpath.join('docs', folder, target))
        if path.startswith('docs/'):
            return match[0]
        return f'[{text}]({config.repo_url.rstrip("/")}/blob/main/{path}{anchor})' if config.repo_url else text

    return _LINK.sub(replace, markdown)
