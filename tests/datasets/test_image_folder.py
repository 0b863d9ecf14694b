"""Any folder of pictures as a target."""

import cv2
import pytest

from tests.datasets.published import picture
from udass.datasets import GTA, ImageFolder

STEPS = [dict(type='LoadImage'), dict(type='PackUDAInputs')]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'trip' / 'day 2').mkdir(parents=True)
    for name in ('b.JPG', 'a.png', 'day 2/a.webp', 'a.jpeg'):
        assert cv2.imwrite(str(tmp_path / 'trip' / name), picture(16, 12))
    (tmp_path / 'trip' / 'notes.txt').write_text('sunny')
    return tmp_path


def test_all_kinds_of_pictures_are_found(folder):
    dataset = ImageFolder(data_root=str(folder), folder='trip', classes_from='GTA', pipeline=STEPS)
    assert [dataset.get_data_info(i)['img_path'].removeprefix(f'{folder}/trip/') for i in range(len(dataset))] == [
        'a.jpeg',
        'a.png',
        'b.JPG',
        'day 2/a.webp',
    ]
    assert all(
        sample['inputs'].shape == (3, 12, 16) and 'gt_sem_seg' not in sample['data_samples'] for sample in dataset
    )


def test_classes_are_those_of_the_source(folder):
    metainfo = ImageFolder(data_root=str(folder), classes_from='GTA').metainfo
    assert metainfo['classes'] == GTA.METAINFO['classes'] and metainfo['palette'] == GTA.METAINFO['palette']
    given = dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]])
    assert ImageFolder(data_root=str(folder), metainfo=given).metainfo['classes'] == ('a', 'b')


@pytest.mark.parametrize('arguments', [{}, dict(classes_from='GTA', metainfo=dict(classes=('a',)))])
def test_classes_are_given_once(folder, arguments):
    with pytest.raises(ValueError, match='give either classes_from=.* or metainfo=dict'):
        ImageFolder(data_root=str(folder), **arguments)


@pytest.mark.parametrize('kind', ['UDADataset', 'Unheard'])
def test_a_source_without_classes_of_its_own(folder, kind):
    with pytest.raises(ValueError, match=f"classes_from='{kind}' is not a data set with classes"):
        ImageFolder(data_root=str(folder), classes_from=kind)


def test_a_folder_of_other_files(tmp_path):
    (tmp_path / 'notes.txt').write_text('rain')
    with pytest.raises(FileNotFoundError, match=r'none of the 1 files in .* \(for example notes\.txt\) is an image'):
        ImageFolder(data_root=str(tmp_path), classes_from='GTA')
