"""The tables of "Why QuadMix is behind" in docs/small_benchmarks.md show the raw results."""

import itertools
import json
import re

import pytest

from tests.docs.camvid_results import RESULTS
from tests.docs.commands import PROJECT
from tests.docs.test_camvid_results import cells_of

TRAININGS = {
    'MIC': ('mic', 'lr1x10', 1),
    'QuadMix from 300': ('quadmix', 'start300_lr1x10', 1),
    'QuadMix': ('quadmix', 'start150_lr1x10', 1),
    'at the rate of 3e-3, decoder times 2': ('quadmix', 'start150', 1),
    'half of the classes of the source': ('quadmix', 'start150_half_lr1x10', 1),
    'nothing of the template target': ('quadmix', 'start150_nottarget_lr1x10', 1),
    'colours changed with the operations of MIC': ('quadmix', 'start150_kornia_lr1x10', 1),
    '200 iterations on the source alone, then QuadMix at once': ('quadmix', 'adapt200_lr1x10', 1),
    'DAFormer from the network of source only, 600 more iterations, seed 0': ('daformer', 'from_source_lr1x10', 0),
    'MIC from the same network': ('mic', 'from_source_lr1x10', 0),
    'QuadMix from the same network, mixing at once': ('quadmix', 'from_source_lr1x10', 0),
}
PSEUDO_LABELS = {
    'labelled sidewalk': 'share.sidewalk',
    'confident pixels': 'confident',
    'of these right': 'confident_accuracy',
    'calibration error': 'ece',
}


def rows_of(first_line):
    """The cells of the rows of the table that begins so."""
    lines = (PROJECT / 'docs' / 'small_benchmarks.md').read_text(encoding='utf-8').splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(first_line))
    rows = itertools.takewhile(lambda line: line.startswith('|'), lines[first + 2 :])
    return cells_of(lines[first]), [cells_of(line) for line in rows]


def test_the_labels_of_teachers():
    runs = json.loads((RESULTS / 'pseudo_labels.json').read_text())
    head, rows = rows_of('| iteration |')
    score = None
    for title, *cells in rows:
        named = re.match(r'\*\*(.+?)\*\*.*: (.+)', title)
        if named:
            score, title = PSEUDO_LABELS[named[1]], named[2]
        points = {point['iteration']: point for point in runs[title]['pseudo_labels']}
        assert cells == [f'{100 * points[int(iteration)][score]:.1f}' for iteration in head[1:]], (title, score)
    assert len(rows) == 12


def test_the_labels_of_mixed_images():
    passes = json.loads((RESULTS / 'mixed_labels.json').read_text())['share of the weight in the loss']
    names = {'ClassMix': 'mix', 'QuadMix, TSS': 'tss', 'QuadMix, TST': 'tst'}
    _, rows = rows_of('| mixed image |')
    assert [title for title, *_ in rows] == list(names)
    for title, *cells in rows:
        shares = {key: 100 * value for key, value in passes[names[title]].items()}
        right, sidewalk_right = (
            100 * shares[f'{part}, right'] / shares[part] for part in ('target', 'target, sidewalk')
        )
        expected = [f'{shares["target"]:.0f}', f'{right:.0f}', f'{shares["target, sidewalk"]:.1f}']
        expected += [f'{sidewalk_right:.0f}', f'{shares["source, sidewalk"]:.1f}']
        assert cells == [f'{value} %' for value in expected], title


@pytest.mark.parametrize('row', rows_of('| training |')[1], ids=lambda row: row[0])
def test_what_was_tried(row):
    method, name, seed = TRAININGS[row[0].split(' (`')[0]]
    tries = json.loads((RESULTS / 'choices' / 'tries.json').read_text())
    key = f'configs/streets2camvid_{method}.py', f'ema95_{name}', seed
    (found,) = (one for one in tries if (one['config'], one['try'], one['seed']) == key)
    training = found['training images']
    scores = [f'{found["mIoU"]:.1f}', f'{training["mIoU"]:.1f}', f'{training["IoU"]["sidewalk"]:.0f}']
    assert row[1:] == scores and training['images'] == 367
