"""The notebook that shows the first steps."""

from unittest import mock

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.commands import PROJECT


@pytest.mark.slow
def test_the_notebook_runs_to_its_end(tmp_path):
    """With a training of two iterations on a few small scenes."""
    notebook = nbformat.read(PROJECT / 'docs' / 'quickstart.ipynb', as_version=4)
    shortened = {
        'ITERATIONS = 450': 'ITERATIONS = 2',
        "write_streets('data/streets'": "write_streets('data/streets', counts=COUNTS",
    }
    for cell in notebook.cells:
        for old, new in shortened.items():
            cell.source = cell.source.replace(old, new)
    counts = {'game': {'train': 8}, 'camera': {'train': 4, 'val': 4}}
    notebook.cells.insert(1, nbformat.v4.new_code_cell(f'COUNTS = {counts}'))
    with mock.patch.dict('os.environ', PYTHONPATH=str(PROJECT)):
        NotebookClient(notebook, timeout=300, resources={'metadata': {'path': tmp_path}}).execute()
    printed = ''.join(output.get('text', '') for cell in notebook.cells for output in cell.get('outputs', []))
    assert 'source only' in printed and 'QuadMix' in printed and ' mIoU' in printed
    assert (tmp_path / 'work_dirs' / 'after' / 'iter_2.pth').is_file()
