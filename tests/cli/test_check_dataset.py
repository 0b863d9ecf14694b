"""The tool that walks the data sets of a config."""

from pathlib import Path

import pytest

from tests.cli.calls import call
from tests.datasets.published import write_cityscapes, write_gta
from udass.cli.data import check

PART = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'gta2cs_512.py'


@pytest.fixture
def arguments(tmp_path):
    """Arguments of the tool for a sound GTA -> Cityscapes."""
    write_gta(tmp_path / 'gta', ids=(7, 8), size=(20, 10), label_size=(19, 10))
    for split in ('train', 'val'):
        write_cityscapes(tmp_path / 'cityscapes', split)
    roots = {
        'train_dataloader.source': 'gta',
        'train_dataloader.target': 'cityscapes',
        'val_dataloader': 'cityscapes',
        'test_dataloader': 'cityscapes',
    }
    return [
        str(PART),
        '--cfg-options',
        *(f'{loader}.dataset.data_root={tmp_path / name}' for loader, name in roots.items()),
    ]


def test_a_sound_config(arguments, capsys):
    call(check, *arguments)
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
    write_gta(tmp_path / 'gta', 'other', ids=(7, 8), size=(20, 10), label_size=(1, 1))
    write_gta(tmp_path / 'gta', 'ids', ids=(7, 99), size=(20, 10))
    with pytest.raises(SystemExit) as end:
        call(check, *arguments, '--max-problems', '2')
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert 'ulm_000000_000019_gtFine_labelIds.png (8 bytes) cannot be decoded as a label' in printed
    # Three empty images, of which none has a label, a size that differs, an unknown id.
    assert '(and 2 more like this: ' in printed and '  ... and 2 more\n4 problems' in printed


def test_every_size_goes_through_the_pipelines(arguments, tmp_path, capsys):
    """A portrait is too narrow for the crop, once in 25 samples."""
    write_cityscapes(tmp_path / 'cityscapes', city='jena', size=(20, 90))
    for number in range(4):
        write_cityscapes(tmp_path / 'cityscapes', city='bonn', frame=f'00000{number}_000019', size=(64, 32))
    steps = [
        dict(type='LoadImage'),
        dict(type='Resize', scale=(2048, 512), keep_ratio=True),
        dict(type='RareClassCrop', crop_size=(512, 512)),
        dict(type='PackUDAInputs'),
    ]
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = ['{PART}']\ntrain_dataloader = dict(target=dict(dataset=dict(pipeline={steps!r})))\n")
    with pytest.raises(SystemExit) as end:
        call(check, config, *arguments[1:])
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert 'train_dataloader.target: the pipeline fails on images of 20x90 pixels: ValueError: ' in printed
    assert printed.count('pipeline fails') == 1 and '1 problems' in printed
