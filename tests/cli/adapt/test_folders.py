"""Layouts of labelled folders, and kinds of targets."""

import shutil
from pathlib import Path

import pytest
from mmseg.registry import DATASETS

from tests.cli.adapt.files import write_folder, write_ids, write_image, write_video
from udass.cli.adapt.folders import check_apart, find_labelled, find_target
from udass.datasets.base import UDADataset

# Names of image and label -> folders and ends as they are found.
LAYOUTS = {
    'two folders': ('images/{}.jpg', 'labels/{}.png', ('images', 'labels', '.jpg', '.png')),
    'two folders with others below': ('Images/a/{}.png', 'Masks/a/{}.png', ('Images', 'Masks', '.png', '.png')),
    'PASCAL VOC': (
        'JPEGImages/{}.jpg',
        'SegmentationClass/{}.png',
        ('JPEGImages', 'SegmentationClass', '.jpg', '.png'),
    ),
    'Cityscapes': (
        'leftImg8bit/bonn/bonn_{}_000019_leftImg8bit.png',
        'gtFine/bonn/bonn_{}_000019_gtFine_labelIds.png',
        ('leftImg8bit', 'gtFine', '_leftImg8bit.png', '_gtFine_labelIds.png'),
    ),
    'side by side, jpg and png': ('{}.jpg', '{}.png', ('', '', '.jpg', '.png')),
    'side by side, a tag': ('{}.png', '{}_label.png', ('', '', '.png', '_label.png')),
    'side by side, two tags': ('day/{}_rgb.png', 'day/{}_mask.png', ('', '', '_rgb.png', '_mask.png')),
    'CamVid as published': ('images/0001TP_{}.png', 'labels/0001TP_{}_L.png', ('images', 'labels', '.png', '_L.png')),
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts_are_found_and_read_by_the_data_set(layout, tmp_path):
    image, label, expected = LAYOUTS[layout]
    for number in ('000010', '000020', '000035'):
        write_image(tmp_path / image.format(number))
        write_ids(tmp_path / label.format(number), (0, 1))
    found = find_labelled(tmp_path)
    assert (found.image_folder, found.label_folder, found.image_suffix, found.label_suffix) == expected
    pairs = [
        [str(tmp_path / name.format(number)) for name in (image, label)] for number in ('000010', '000020', '000035')
    ]
    assert [list(pair) for pair in found.paths()] == pairs
    dataset = UDADataset(
        data_root=found.root,
        image_folder=found.image_folder,
        label_folder=found.label_folder,
        image_suffix=found.image_suffix,
        label_suffix=found.label_suffix,
        metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [1, 1, 1]]),
    )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [[info['img_path'], info['seg_map_path']] for info in infos] == pairs


def broken(folder, name):
    """A labelled folder with a fault."""
    write_folder(folder)
    if name == 'no label':
        (folder / 'labels' / '1.png').unlink()
    elif name == 'no folder of labels':
        shutil.rmtree(folder / 'labels')
    elif name == 'no pair':
        for path in (folder / 'labels').iterdir():
            path.rename(path.with_name(f'x{path.name}'))
    elif name == 'JPEG labels':
        for path in (folder / 'labels').iterdir():
            path.rename(path.with_suffix('.jpg'))
    elif name == 'two kinds of images':
        (folder / 'images' / '1.png').rename(folder / 'images' / '1.jpg')
    elif name == 'two kinds of labels':
        for path in list((folder / 'labels').iterdir()):
            shutil.copy(path, path.with_name(f'{path.stem}_color.png'))
            path.rename(path.with_name(f'{path.stem}_ids.png'))
    elif name == 'empty':
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('no label', r'images/1\.png has no label \(1 of 3 images\): expected a label of the same name'),
        ('no folder of labels', r'has images/, but no folder of labels \(one of labels, label'),
        ('no pair', r'images are named like 0\.png, labels like x0\.png'),
        ('JPEG labels', r'labels holds no labels \(a JPEG file changes ids and cannot be one\): found 3 \.jpg'),
        ('two kinds of images', r'images/1\.jpg has no label'),
        ('two kinds of labels', r'several labels for each image, which end in (_color|_ids)\.png, (_color|_ids)\.png'),
        ('empty', r'holds no images: found no files'),
        ('gone', r'is not a folder; give one with images and labels'),
    ],
)
def test_faults_of_a_labelled_folder_are_named(name, message, tmp_path):
    broken(tmp_path / 'source', name)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_labelled(tmp_path / 'source')


def test_a_target_is_a_folder_its_images_or_a_video(tmp_path):
    write_folder(tmp_path / 'labelled')
    assert find_target(tmp_path / 'labelled').path == str(tmp_path / 'labelled' / 'images')
    write_image(tmp_path / 'plain' / 'below' / '1.jpg')
    assert find_target(tmp_path / 'plain').paths == (str(tmp_path / 'plain' / 'below' / '1.jpg'),)
    write_video(tmp_path / 'drive.avi')
    video = find_target(tmp_path / 'drive.avi')
    assert video.every == 1 and [Path(path).name for path in video.paths] == [f'drive.avi#{n:06d}' for n in range(1, 6)]
    metainfo = dict(classes=('a', 'b'), palette=[[0, 0, 0], [1, 1, 1]])
    dataset = DATASETS.build(dict(type='VideoFile', path=video.path, every=video.every, metainfo=metainfo))
    assert [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))] == list(video.paths)


def test_what_is_no_target_is_named(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes.txt').touch()
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    for name, message in {
        'gone': 'gone does not exist',
        'empty': r'empty holds no image .* it holds 0 files',
        'notes.txt': r'notes\.txt is not a video',
        'broken.mp4': r'broken\.mp4 cannot be opened as a video',
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            find_target(tmp_path / name)
    write_video(tmp_path / 'videos.avi')
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos.avi').rename(tmp_path / 'videos' / 'a.avi')
    with pytest.raises(FileNotFoundError, match=r'it holds the video a\.avi: give that file itself'):
        find_target(tmp_path / 'videos')


def test_source_and_target_share_no_images(tmp_path):
    source = find_labelled(write_folder(tmp_path / 'data' / 'source'))
    write_image(tmp_path / 'data' / 'source' / 'other' / '1.png')
    check_apart(source, find_target(tmp_path / 'data' / 'source' / 'other'))
    for same in ('data', 'data/source', 'data/source/images'):
        with pytest.raises(ValueError, match='share images: give two folders'):
            check_apart(source, find_target(tmp_path / same))
