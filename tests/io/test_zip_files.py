"""Data sets that are still in the zip files of their publishers."""

import os
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from tests.datasets.published import write_cityscapes, write_gta
from udass.datasets import check_dataset
from udass.datasets.sampling.statistics import class_statistics
from udass.errors import DamagedFileError
from udass.io.zip_files import files_below, read_file

PIPELINE = [dict(type='LoadImage'), dict(type='LoadLabels', max_size_difference=4), dict(type='PackUDAInputs')]
GTA = dict(type='GTA', pipeline=PIPELINE)
CITYSCAPES = dict(type='Cityscapes', split='train', pipeline=PIPELINE)


def pack(root: Path, archive: str, folder: str, pattern: str = '*', top: str = '') -> None:
    """Move files below ``folder`` into a zip file, perhaps under one more folder."""
    with ZipFile(root / archive, 'a', ZIP_DEFLATED) as file:
        for path in sorted((root / folder).rglob(pattern)):
            if path.is_file():
                file.write(path, str(Path(top, path.relative_to(root))))
                path.unlink()
    if not any(path.is_file() for path in (root / folder).rglob('*')):
        shutil.rmtree(root / folder)


def write(kind: str, root: Path) -> dict:
    """Config of a data set with two images."""
    if kind == 'gta':
        for name in ('00001', '00002'):
            write_gta(root, name)
        return dict(GTA, data_root=str(root))
    for frame in ('000000_000019', '000001_000019'):
        write_cityscapes(root, frame=frame)
    return dict(CITYSCAPES, data_root=str(root))


def packed(kind: str, root: Path) -> dict:
    config = write(kind, root)
    if kind == 'gta':
        # Images in several files, as published.
        pack(root, '02_images.zip', 'images', '*2.png')
        pack(root, '01_images.zip', 'images')
        pack(root, '01_labels.zip', 'labels')
    else:
        pack(root, 'leftImg8bit_trainvaltest.zip', 'leftImg8bit')
        pack(root, 'gtFine_trainvaltest.zip', 'gtFine', top='gtFine_trainvaltest')
    return config


@pytest.mark.parametrize('kind', ['gta', 'cityscapes'])
def test_packed_files_are_those_that_were_packed(kind, tmp_path):
    unpacked = DATASETS.build(write(kind, tmp_path / 'unpacked'))
    dataset = DATASETS.build(packed(kind, tmp_path / 'packed'))
    assert not [path for path in (tmp_path / 'packed').iterdir() if path.is_dir()]
    assert len(dataset) == len(unpacked) == 2
    for mine, theirs in zip(dataset, unpacked, strict=True):
        assert torch.equal(mine['inputs'], theirs['inputs'])
        assert torch.equal(mine['data_samples'].gt_sem_seg.data, theirs['data_samples'].gt_sem_seg.data)
    assert np.array_equal(class_statistics(dataset).pixels, class_statistics(unpacked).pixels)
    assert not check_dataset(dataset).problems


@pytest.mark.slow
def test_workers_do_not_disturb_each_other(tmp_path):
    for number in range(20):
        write_gta(tmp_path, f'{number:05d}', ids=(7 + number % 3, 26))
    expected = [sample['inputs'] for sample in DATASETS.build(dict(GTA, data_root=str(tmp_path)))]
    pack(tmp_path, 'images.zip', 'images')
    dataset = DATASETS.build(dict(GTA, data_root=str(tmp_path)))
    assert torch.equal(dataset[0]['inputs'], expected[0])  # opens the file before the workers fork
    for _ in range(2):
        loaded = [batch['inputs'][0] for batch in DataLoader(dataset, num_workers=2, collate_fn=pseudo_collate)]
        assert all(torch.equal(a, b) for a, b in zip(loaded, expected, strict=True))


def test_unpacked_files_go_first_and_both_may_be_mixed(tmp_path):
    packed('cityscapes', tmp_path)
    write_cityscapes(tmp_path, ids=(8, 8, 8, 8))  # unpacks one image and its label again, with another content
    shutil.rmtree(tmp_path / 'leftImg8bit')
    dataset = DATASETS.build(dict(CITYSCAPES, data_root=str(tmp_path), lazy_init=True))
    assert dataset.names_without_label(dataset.image_names()) == ['ulm/ulm_000001_000019']
    assert (
        read_file(str(tmp_path / 'gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png'))
        == (tmp_path / 'gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png').read_bytes()
    )


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'images does not exist; it should hold .*Unpack 01_images.zip'):
        DATASETS.build(dict(GTA, data_root=str(tmp_path)))
    assert files_below(str(tmp_path / 'nothing')) is None
    packed('gta', tmp_path / 'gta')
    with pytest.raises(FileNotFoundError, match=r'images/3.png does not exist, neither as a file nor in a zip file'):
        read_file(str(tmp_path / 'gta/images/3.png'))
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / 'gtFine.zip').write_bytes(b'half a downl')
    with pytest.raises(ValueError, match=r'gtFine.zip is not a readable zip file .*fetch it again, or move it away'):
        read_file(str(broken / 'gtFine/a.png'))


HIDDEN = (
    '._a.png',
    '.DS_Store',
    '.ipynb_checkpoints/a-checkpoint.png',
    '__MACOSX/images/._a.png',
    'town/.thumbnails/a.png',
    'town/@eaDir/a.png',
    'lost+found/a.png',
)


@pytest.mark.parametrize('hidden', HIDDEN)
def test_hidden_files_are_no_part_of_a_data_set(hidden, tmp_path):
    for name in ('a.png', 'town/b.png', hidden):
        path = tmp_path / 'unpacked' / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'content')
    assert files_below(str(tmp_path / 'unpacked/images')) == ['a.png', 'town/b.png']
    (tmp_path / 'packed').mkdir()
    with ZipFile(tmp_path / 'packed' / 'data.zip', 'w') as file:
        for name in ('images/a.png', 'images/town/b.png', f'images/{hidden}', hidden):
            file.writestr(name, b'content')
    # The file that macOS writes beside data.zip is no zip file.
    (tmp_path / 'packed' / '._data.zip').write_bytes(b'\0\5\x16\7')
    assert files_below(str(tmp_path / 'packed/images')) == ['a.png', 'town/b.png']


def test_loops_of_links_end_and_pipes_are_no_images(tmp_path):
    images = tmp_path / 'images'
    (images / 'town').mkdir(parents=True)
    (images / 'town' / 'a.png').write_bytes(b'content')
    (images / 'town' / 'up').symlink_to(images, target_is_directory=True)
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'b.png').write_bytes(b'content')
    # Linked twice, for two splits: no loop.
    for name in ('train', 'val'):
        (images / name).symlink_to(tmp_path / 'elsewhere', target_is_directory=True)
    os.mkfifo(images / 'pipe.png')
    os.mkfifo(tmp_path / 'pipe.zip')
    (images / 'lost.png').symlink_to(tmp_path / 'nowhere.png')
    assert files_below(str(images)) == ['lost.png', 'town/a.png', 'train/b.png', 'val/b.png']
    for name in ('pipe.png', 'lost.png'):
        with pytest.raises(FileNotFoundError, match=f'{name} does not exist'):
            read_file(str(images / name))


def member(tmp_path, content=bytes(1000), change=None, **options) -> str:
    """A file in a zip file, of which one byte is changed: (offset from the start or the end, xor)."""
    path = tmp_path / 'images.zip'
    with ZipFile(path, 'w', **options) as file:
        file.writestr('images/a.png', content)
    if change is not None:
        damaged = bytearray(path.read_bytes())
        damaged[change[0]] ^= change[1]
        path.write_bytes(damaged)
    return str(tmp_path / 'images' / 'a.png')


# ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA: the start of the data, which follows a head of 30 + 12 bytes.
@pytest.mark.parametrize('compression', [0, 8, 12, 14])
@pytest.mark.parametrize('offset', range(42, 52))
def test_damaged_members_are_damaged_files(compression, offset, tmp_path):
    content = np.random.default_rng(0).integers(0, 4, 1000, np.uint8).tobytes()
    path = member(tmp_path, content, change=(offset, 0xFF), compression=compression)
    try:
        assert read_file(path) == content
    except DamagedFileError as error:
        assert 'images/a.png in ' in str(error) and 'images.zip is damaged' in str(error)


def test_encrypted_and_oversized_members_are_damaged_files(tmp_path, monkeypatch):
    # The central directory, 46 + 12 bytes long, stands before the last 22 bytes; bit 0 of its flags: encrypted.
    path = member(tmp_path, change=(-22 - 58 + 8, 1))
    with pytest.raises(DamagedFileError, match=r'images/a\.png in .*images\.zip is encrypted: unpack the zip file'):
        read_file(path)
    monkeypatch.setattr('udass.io.zip_files.MAX_MEMBER_MIB', 1)
    (tmp_path / 'large').mkdir()
    path = member(tmp_path / 'large', bytes(2**20 + 1), compression=ZIP_DEFLATED)
    with pytest.raises(DamagedFileError, match=r'is 1 MiB large, more than the 1 MiB .*UDASS_MAX_MEMBER_MIB'):
        read_file(path)
