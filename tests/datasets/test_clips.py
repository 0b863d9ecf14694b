"""Which frames make a clip, what happens where frames or labels are missing, and the pairs whose flow is needed."""

import numpy as np
import pytest

from tests.datasets.published import picture, write_png
from udass.datasets import ClipDataset, FrameFolder

CLASSES = dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]])


@pytest.fixture
def folder(tmp_path):
    """Two sequences of labelled frames, 000..005 and 010..012."""
    for name in [f'one/{number:03d}' for number in range(6)] + [f'two/{number:03d}' for number in range(10, 13)]:
        write_png(tmp_path / f'images/{name}.png', picture(8, 6))
        write_png(tmp_path / f'labels/{name}.png', np.zeros((6, 8), np.uint8))
    return tmp_path


def build(folder, **changes):
    return ClipDataset(
        **{
            **dict(
                data_root=str(folder),
                image_folder='images',
                label_folder='labels',
                image_suffix='.png',
                label_suffix='.png',
                metainfo=CLASSES,
            ),
            **changes,
        }
    )


def clips(dataset) -> list[list[str]]:
    """Frames of each clip, e.g. ['one/001', 'one/000']."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert all(info['img_path'] == info['frame_paths'][0] for info in infos)
    return [['/'.join(path.split('/')[-2:]).split('.')[0] for path in info['frame_paths']] for info in infos]


def test_a_clip_is_a_frame_and_the_one_before_it(folder):
    dataset = build(folder)
    assert clips(dataset) == [
        ['one/001', 'one/000'],
        ['one/002', 'one/001'],
        ['one/003', 'one/002'],
        ['one/004', 'one/003'],
        ['one/005', 'one/004'],
        ['two/011', 'two/010'],
        ['two/012', 'two/011'],
    ]
    info = dataset.get_data_info(0)
    assert info['flow_pairs'] == [(0, 1)]
    assert info['label_paths'] == [path.replace('images', 'labels') for path in info['frame_paths']]
    assert info['seg_map_path'] == info['label_paths'][0]


@pytest.mark.parametrize(
    'past, expected',
    [
        (1, [['one/002', 'one/001', 'one/001', 'one/000'], ['one/003', 'one/002', 'one/002', 'one/001']]),
        (3, [['one/004', 'one/003', 'one/001', 'one/000'], ['one/005', 'one/004', 'one/002', 'one/001']]),
    ],
)
def test_the_past_pair(folder, past, expected):
    dataset = build(folder, past=past, labelled=False)
    assert clips(dataset)[:2] == expected
    assert dataset.get_data_info(0)['flow_pairs'] == [(0, 1), (0, 2), (0, 3), (2, 3)]
    assert 'label_paths' not in dataset.get_data_info(0)


def test_in_testing_the_first_frames_are_kept_and_stand_for_their_past(folder):
    assert clips(build(folder, test_mode=True))[:2] == [['one/000', 'one/000'], ['one/001', 'one/000']]
    assert len(build(folder, test_mode=True)) == 9
    with_past = clips(build(folder, test_mode=True, past=1, labelled=False))
    assert with_past[:2] == [['one/000'] * 4, ['one/001', 'one/000', 'one/000', 'one/000']]


@pytest.mark.parametrize('test_mode', [False, True])
def test_a_frame_that_is_missing_within_a_sequence_is_named(folder, test_mode):
    (folder / 'images/one/003.png').unlink()
    (folder / 'labels/one/003.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'images/one/003\.png is missing; it lies 1 frame\(s\) before one/004'):
        build(folder, test_mode=test_mode)


def test_a_missing_label_of_a_frame_before_is_named(folder):
    (folder / 'labels/two/010.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'labels/two/010\.png is missing \(1 labels in all\)'):
        build(folder)
    assert len(build(folder, labelled=False)) == 7


def test_steps(folder):
    assert clips(build(folder, step=2))[:2] == [['one/002', 'one/000'], ['one/003', 'one/001']]
    assert clips(build(folder, step=0))[:2] == [['one/000', 'one/000'], ['one/001', 'one/001']]
    (folder / 'images/one/003.png').unlink()
    (folder / 'labels/one/003.png').unlink()
    assert ['one/004', 'one/002'] in clips(build(folder, step=None))


def test_flow_pairs_are_listed_once(folder):
    dataset = build(folder, past=1, labelled=False, indices=2)
    paths = {name: f'{folder}/images/one/00{name}.png' for name in range(4)}
    assert dataset.flow_pairs() == [
        (paths[2], paths[1]),
        (paths[2], paths[0]),
        (paths[1], paths[0]),
        (paths[3], paths[2]),
        (paths[3], paths[1]),
    ]
    assert build(folder, step=0).flow_pairs() == []


def test_no_frame_has_enough_before_it(folder):
    with pytest.raises(ValueError, match=r'none of the 9 chosen frames .* has 9 frames before it'):
        build(folder, past=8)


@pytest.mark.parametrize('wrong', [dict(past=0), dict(step=-1)])
def test_impossible_distances(folder, wrong):
    with pytest.raises(ValueError, match='past must be None or at least 1, and step None or at least 0; got'):
        build(folder, **wrong)


def test_any_folder_of_numbered_frames(tmp_path):
    for name in ('a/shot_0.jpg', 'a/shot_5.jpg', 'a/shot_10.jpg', 'b/1.png', 'b/2.png'):
        write_png(tmp_path / name, picture(8, 6))
    (tmp_path / 'a/notes.txt').write_text('rain')
    dataset = FrameFolder(data_root=str(tmp_path), classes_from='Viper')
    # In the order of the numbers, not of the names.
    assert clips(dataset) == [['a/shot_10', 'a/shot_5'], ['a/shot_5', 'a/shot_0'], ['b/2', 'b/1']]
    assert len(dataset.metainfo['classes']) == 15


def test_a_frame_without_number_is_named(tmp_path):
    write_png(tmp_path / 'title.png', picture(8, 6))
    with pytest.raises(ValueError, match=r'FrameFolder: the name of .*title\.png has no number'):
        FrameFolder(data_root=str(tmp_path), classes_from='Viper')
