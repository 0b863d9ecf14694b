"""The built-in streets with the classes of CamVid."""

import cv2
import numpy as np
import pytest

from tests.cli.test_preview import streets  # noqa: F401
from udass.datasets import CamVidDataset, StreetsCamVidClips, StreetsCamVidDataset, StreetsClips


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


def test_clips_have_the_classes_of_camvid_too(streets):  # noqa: F811
    arguments = dict(data_root=str(streets), domain='game', split='train')
    arguments['pipeline'] = [dict(type='LoadClip'), dict(type='LoadClipLabels')]
    clips, ids = StreetsCamVidClips(**arguments), StreetsClips(**arguments)
    assert clips.metainfo['classes'] == CamVidDataset.METAINFO['classes']
    table = np.full(256, 255)
    table[list(StreetsCamVidDataset.LABEL_TABLE)] = list(StreetsCamVidDataset.LABEL_TABLE.values())
    for key in ('gt_seg_map', 'gt_seg_map_1'):
        np.testing.assert_array_equal(clips[0][key], table[ids[0][key]])


def test_the_frames_of_clips_serve_an_image_method(streets):  # noqa: F811
    """With ``step=0`` the first frame of a clip, which has no past, is a sample, too."""
    arguments = dict(data_root=str(streets), domain='game', split='train')
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels')]
    frames = StreetsCamVidClips(**arguments, step=0, pipeline=pipeline)
    clips = StreetsCamVidClips(**arguments, pipeline=pipeline)
    assert (len(frames), len(clips)) == (4, 3)
    np.testing.assert_array_equal(frames[1]['gt_seg_map'], clips[0]['gt_seg_map'])


def test_missing_streets_for_camvid_say_how_to_make_them(tmp_path):
    message = (
        'game/train/images does not exist.*udass streets --root data/streets_camvid --size 360 480 '
        '--counts game/train=600'
    )
    with pytest.raises(FileNotFoundError, match=message):
        StreetsCamVidDataset(data_root=str(tmp_path), domain='game', split='train')
