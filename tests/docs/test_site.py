"""The documentation as a site."""

import os
import subprocess
import sys

import pytest

from tests.docs.commands import PROJECT


@pytest.mark.slow
def test_the_site_is_built_without_a_broken_link(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--quiet', '--strict', '--site-dir', tmp_path],
        cwd=PROJECT,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    api = (tmp_path / 'api' / 'uda' / 'index.html').read_text()
    assert 'id="udass.uda.adapter.DomainAdapter"' in api and 'teacher_batch_statistics' in api
    # A link to a file that is no page, in a checkout whose host is not known.
    page = (tmp_path / 'how_it_works' / 'index.html').read_text()
    assert '<code>udass/engine/loop.py</code>' in page and '../udass' not in page
