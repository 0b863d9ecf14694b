"""The tool that walks the data sets of a config."""
from pathlib import Path

import pytest

from tests.datasets.published import write_cityscapes, write_gta
from tools import check_dataset

PART = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'gta2cs_512.py'


@pytest.fixture
def arguments(tmp_path):
    """Arguments of the tool for a sound GTA -> Cityscapes."""
    write_gta(tmp_path / 'gta', ids=(7, 8), size=(20, 10), label_size=(19, 10))
    for split in ('train', 'val'):
        write_cityscapes(tmp_path / 'cityscapes', split)
    roots = {'train_dataloader.source': 'gta', 'train_dataloader.target': 'cityscapes', 'val_dataloader': 'cityscapes',
             'test_dataloader': 'cityscapes'}
    return [str(PART), '--cfg-options',
            *(f'{loader}.dataset.data_root={tmp_path / name}' for loader, name in roots.items())]


def test_a_sound_config(arguments, capsys):
    check_dataset.check(check_dataset.parse_args(arguments))
    printed = capsys.readouterr().out
    assert printed.count('no problems') == 3
    assert 'train_dataloader.source: GTA in' in printed
    assert 'val_dataloader, test_dataloader: Cityscapes in' in printed
    assert '1 images: 20x10 (1)' in printed
    # 10 of the label's 19 columns are road.
    road = next(line for line in printed.splitlines() if line.startswith('| road'))
    assert road.split() == ['|', 'road', '|', '52.632', '|', '1', '|']


def test_problems_end_with_status_1(arguments, tmp_path, capsys):
    (tmp_path / 'cityscapes/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png').write_bytes(b'no image')
    for number in range(3):
        (tmp_path / f'gta/images/{number}.png').write_bytes(b'')
    with pytest.raises(SystemExit) as end:
        check_dataset.check(check_dataset.parse_args([*arguments, '--max-problems', '2']))
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert 'ulm_000000_000019_gtFine_labelIds.png (8 bytes) cannot be decoded as a label' in printed
    # Three empty images, and none of them has a label.
    assert '  ... and 4 more\n6 problems' in printed
    assert printed.count('no problems') == 1
