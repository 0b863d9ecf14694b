"""The built-in streets with the classes of CamVid."""

import cv2
import numpy as np
import pytest

from udass.datasets import CamVidDataset, StreetsCamVidDataset


def test_streets_in_the_classes_of_camvid(tmp_path):
    ids = np.array([[*range(10)], [*range(10, 19), 255]], np.uint8)
    for folder in ('images', 'labels'):
        path = tmp_path / 'game' / 'train' / folder
        path.mkdir(parents=True)
        cv2.imwrite(str(path / '0.png'), ids)
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels')]
    dataset = StreetsCamVidDataset(data_root=str(tmp_path), domain='game', split='train', pipeline=pipeline)
    assert dataset.metainfo['classes'] == CamVidDataset.METAINFO['classes']
    # Row 1: road, sidewalk, building, wall, fence, pole, light, sign, vegetation, terrain. Row 2: sky, person, rider,
    # car, truck, bus, train, motorcycle, bicycle, ignored. CamVid: 0 sky, 1 building, 2 pole, 3 road, 4 sidewalk,
    # 5 tree, 6 sign, 7 fence, 8 car, 9 pedestrian, 10 bicyclist.
    assert dataset[0]['gt_seg_map'].tolist() == [[3, 4, 1, 1, 7, 2, 6, 6, 5, 5], [0, 9, 10, 8, 8, 8, 8, 255, 10, 255]]


def test_missing_streets_for_camvid_say_how_to_make_them(tmp_path):
    message = (
        'game/train/images does not exist.*udass streets --root data/streets_camvid --size 360 480 '
        '--counts game/train=600'
    )
    with pytest.raises(FileNotFoundError, match=message):
        StreetsCamVidDataset(data_root=str(tmp_path), domain='game', split='train')
