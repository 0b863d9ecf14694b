"""The folder layout of the demo data (the pictures themselves are tested with their generator)."""
import cv2
import numpy as np
import pytest

from udass.datasets import CamVidDataset, StreetsCamVidDataset, StreetsDataset


@pytest.fixture
def root(tmp_path):
    for domain in ('game', 'camera'):
        for folder in ('images', 'labels'):
            (tmp_path / domain / 'train' / folder).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / domain / 'train' / folder / '0.png'), np.full((4, 6), 18, np.uint8))
    return tmp_path


def test_domain_and_split_name_the_folders(root):
    dataset = StreetsDataset(data_root=str(root), domain='camera', split='train',
                             pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')])
    assert dataset[0]['img_path'] == str(root / 'camera' / 'train' / 'images' / '0.png')
    assert set(np.unique(dataset[0]['gt_seg_map'])) == {18}


def test_missing_data_says_how_to_make_it(root):
    with pytest.raises(FileNotFoundError, match='game/val/images does not exist.*`make data`'):
        StreetsDataset(data_root=str(root), domain='game', split='val')


def test_the_lists_are_those_of_the_field():
    classes = StreetsDataset.METAINFO['classes']
    assert len(classes) == len(StreetsDataset.METAINFO['palette']) == 19
    assert [classes.index(name) for name in StreetsDataset.METAINFO['thing_classes']] == [6, 7, *range(11, 19)]
    rare = [classes.index(entry['name']) for entry in StreetsDataset.METAINFO['rare_classes']]
    assert rare == [3, 4, 5, 6, 12, 15, 16, 17, 18]


def test_streets_in_the_classes_of_camvid(root):
    ids = np.array([[*range(10)], [*range(10, 19), 255]], np.uint8)
    cv2.imwrite(str(root / 'game' / 'train' / 'images' / '0.png'), ids)
    cv2.imwrite(str(root / 'game' / 'train' / 'labels' / '0.png'), ids)
    dataset = StreetsCamVidDataset(data_root=str(root), domain='game', split='train',
                                   pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')])
    assert dataset.metainfo['classes'] == CamVidDataset.METAINFO['classes']
    # Row 1: road, sidewalk, building, wall, fence, pole, light, sign, vegetation, terrain. Row 2: sky, person, rider,
    # car, truck, bus, train, motorcycle, bicycle, ignored. CamVid: 0 sky, 1 building, 2 pole, 3 road, 4 sidewalk,
    # 5 tree, 6 sign, 7 fence, 8 car, 9 pedestrian, 10 bicyclist.
    assert dataset[0]['gt_seg_map'].tolist() == [[3, 4, 1, 1, 7, 2, 6, 6, 5, 5], [0, 9, 10, 8, 8, 8, 8, 255, 10, 255]]


def test_missing_streets_for_camvid_say_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match='game/train/images does not exist.*make_streets.py --root '
                                                'data/streets_camvid --size 360 480 --counts game/train=600'):
        StreetsCamVidDataset(data_root=str(tmp_path), domain='game', split='train')
