"""The tool that measures flow, on built-in clips whose motion is known."""

import json
from pathlib import Path

import pytest

from tests.cli.calls import call
from udass.cli.data import flow as flow_command
from udass.streets.writer import write_streets

STREETS = str(Path(__file__).parents[2] / 'configs' / 'streets_video_oracle.py')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('streets')
    write_streets(
        root, size=(192, 384), workers=1, counts=dict(game=dict(train=0)), clip_counts=dict(camera=dict(val=1))
    )
    return root


def measured(tmp_path, *options):
    arguments = [STREETS, '--json', str(tmp_path / 'a.json'), *options]
    call(flow_command, '--measure', *arguments)
    return json.loads((tmp_path / 'a.json').read_text())


def test_dis_against_the_exact_flow_of_streets(root, tmp_path, capsys):
    """Measured on this clip; docs/optical_flow.md has the numbers of all clips."""
    result = measured(tmp_path, '--exact', '--cfg-options', f'test_dataloader.dataset.data_root={root}')
    assert (result['flow'], result['pairs'], list(result['sizes'])) == ('dis_medium', 3, ['384x192', '256x128'])
    for kinds in result['sizes'].values():
        zero, flow, exact = (kinds[name]['visible'] for name in ('zero', 'flow', 'exact'))
        assert exact['pixels'] > 99 and exact['pixels'] > flow['pixels'] > zero['pixels']
        assert exact['mIoU'] > flow['mIoU'] > zero['mIoU'] and exact['grey'] < 0.5 * zero['grey']
        error = kinds['end_point_error']
        assert error['median'] < 1 and error['mean'] < 0.5 * error['motion']
    printed = capsys.readouterr().out
    assert 'end-point error at 384x192, in pixels: mean ' in printed and '3 pairs of frames' in printed


def test_flow_files_are_measured_as_they_are(root, tmp_path):
    result = measured(tmp_path, '--cfg-options', f'test_dataloader.dataset.data_root={root}')
    kinds = result['sizes']['384x192']
    assert set(kinds) == {'zero', 'flow'} and kinds['flow']['consistent']['pixels'] > 99


def test_what_cannot_be_measured(root, tmp_path):
    where = f'test_dataloader.dataset.data_root={root}'
    with pytest.raises(ValueError, match='--exact needs a config that reads exact flow .* estimates it .DISFlow.'):
        measured(tmp_path, '--exact', '--cfg-options', where, 'test_dataloader.dataset.pipeline.1.cache.estimator=None')
    with pytest.raises(ValueError, match='no clips with a label for every frame'):
        measured(tmp_path, '--cfg-options', where, 'test_dataloader.dataset.labelled=False')
