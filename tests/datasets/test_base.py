"""Listing a data set: what it finds, what it needs, and what it says when something is missing."""

import shutil

import numpy as np
import pytest

from udass.datasets import UDADataset
from udass.datasets.base.metainfo import check_metainfo


def test_samples_are_listed_by_name(filled_scenes):
    dataset = filled_scenes.build()
    assert len(dataset) == 12
    info = dataset.get_data_info(3)
    assert info['img_path'] == str(filled_scenes.root / 'images' / '03.png')
    assert info['seg_map_path'] == str(filled_scenes.root / 'labels' / '03.png')
    assert info['label_table'] == {0: 0, 1: 1, 2: 2, 255: 255}


def test_images_in_subfolders_keep_their_place(filled_scenes):
    for name in ('images', 'labels'):
        (filled_scenes.root / name / 'town' / 'street').mkdir(parents=True)
        shutil.move(filled_scenes.root / name / '05.png', filled_scenes.root / name / 'town' / 'street' / '05.png')
    dataset = filled_scenes.build()
    assert len(dataset) == 12
    assert dataset.get_data_info(11)['seg_map_path'].endswith('labels/town/street/05.png')


def test_suffixes_pair_images_and_labels(filled_scenes):
    for path in (filled_scenes.root / 'images').iterdir():
        path.rename(path.with_name(f'{path.stem}_leftImg8bit.png'))
    for path in (filled_scenes.root / 'labels').iterdir():
        path.rename(path.with_name(f'{path.stem}_gtFine_labelIds.png'))
    (filled_scenes.root / 'labels' / '00_gtFine_color.png').write_bytes(b'')  # files of other kinds do not matter
    dataset = filled_scenes.build(image_suffix='_leftImg8bit.png', label_suffix='_gtFine_labelIds.png')
    assert dataset.get_data_info(11)['seg_map_path'].endswith('labels/11_gtFine_labelIds.png')


@pytest.mark.parametrize('indices, names', [(2, ['00', '01']), ([7, 3], ['07', '03'])])
def test_indices_choose_samples(filled_scenes, indices, names):
    dataset = filled_scenes.build(indices=indices)
    assert [dataset.get_data_info(i)['img_path'][-6:-4] for i in range(len(dataset))] == names


def test_an_unlabelled_data_set_needs_no_labels(filled_scenes):
    shutil.rmtree(filled_scenes.root / 'labels')
    dataset = filled_scenes.build(labelled=False)
    assert len(dataset) == 12
    assert 'seg_map_path' not in dataset.get_data_info(0)
    assert 'gt_sem_seg' not in dataset[0]['data_samples']


def test_lazy_data_sets_read_nothing(scenes):
    shutil.rmtree(scenes.root)
    assert scenes.build(lazy_init=True).metainfo['classes'] == ('ground', 'tree', 'lamp')


@pytest.mark.parametrize('folder', ['images', 'labels'])
def test_missing_folder(filled_scenes, folder):
    shutil.rmtree(filled_scenes.root / folder)
    with pytest.raises(
        FileNotFoundError,
        match=rf'UDADataset: the folder .*scenes/{folder} does not exist; it should '
        rf'hold the {folder} \(\*\.png\)\. Set data_root',
    ):
        filled_scenes.build()


def test_folder_without_images_says_what_is_there(filled_scenes):
    with pytest.raises(FileNotFoundError, match=r'no images \*\.jpg in .*images \(it holds 12 \.png\)'):
        filled_scenes.build(image_suffix='.jpg')


def test_empty_folder(scenes):
    with pytest.raises(FileNotFoundError, match=r'no images \*\.png in .*images \(it holds no files at all\)'):
        scenes.build()


def test_images_without_label(filled_scenes):
    for name in ('02', '05', '06', '11'):
        (filled_scenes.root / 'labels' / f'{name}.png').unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r'4 of 12 images in .*images have no label in .*labels: 02\.png, '
        r'05\.png, 06\.png, \.\.\.\. Expected e\.g\. 02\.png\. ',
    ):
        filled_scenes.build()


def test_filter_that_keeps_nothing(filled_scenes):
    class Nothing(UDADataset):
        def included(self, name):
            return False

    with pytest.raises(
        ValueError,
        match=r'Nothing: the options select none of the 12 images in .*images\. '
        r'Found for example 00',
    ):
        filled_scenes.build(Nothing)


class Fixed(UDADataset):
    METAINFO = dict(
        classes=('ground', 'tree', 'lamp'),
        palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]],
        rare_classes=[dict(name='tree', weight=1, min_pixels=1)],
    )
    LABEL_TABLE = {7: 0, 8: 1, 9: 2, 0: 255}


def test_a_subset_of_the_classes_is_mapped_on_from_the_table(filled_scenes):
    dataset = filled_scenes.build(Fixed, metainfo=dict(classes=('lamp', 'ground'), rare_classes=[]))
    assert dataset.label_table == {7: 1, 8: 255, 9: 0, 0: 255}
    assert dataset.metainfo['palette'] == [[2, 2, 2], [0, 0, 0]]


def test_a_list_left_behind_by_a_subset_of_the_classes_is_named(filled_scenes):
    with pytest.raises(ValueError, match=r"Fixed: rare_classes names \['tree'\].*give it a matching rare_classes too"):
        filled_scenes.build(Fixed, metainfo=dict(classes=('lamp', 'ground')))


@pytest.mark.parametrize(
    'metainfo, message',
    [
        ({}, 'X: metainfo needs `classes`'),
        (dict(classes=('a', 'a')), r"list of different names, got \['a', 'a'\]"),
        (
            dict(classes=('a', 'b'), thing_classes=['c']),
            r"X: thing_classes names \['c'\], which are not among the classes",
        ),
        (dict(classes=('a',), rare_classes=[dict(name='c', weight=1, min_pixels=0)]), r"rare_classes names \['c'\]"),
        (dict(classes=('a',), rare_classes=[dict(name='a')]), r'an entry of rare_classes must be dict\(name='),
        (dict(classes=('a',), rare_classes=[dict(name='a', weight=0, min_pixels=0)]), 'integer weight of 1.*got .*0'),
    ],
)
def test_metainfo_is_checked(metainfo, message):
    with pytest.raises(ValueError, match=message):
        check_metainfo(metainfo, 'X')


def test_two_classes_with_labels_0_and_255(scenes):
    labels = np.zeros((4, 4), np.uint8)
    labels[0] = 255
    scenes.add('a', labels)
    dataset = scenes.build(
        metainfo=dict(classes=('off', 'on'), palette=[[0, 0, 0], [9, 9, 9]]), label_table={0: 0, 255: 1}
    )
    assert dataset[0]['data_samples'].gt_sem_seg.data[0].tolist() == [[1] * 4] + [[0] * 4] * 3


def test_suffixes_are_found_in_either_case(filled_scenes):
    root = filled_scenes.root
    (root / 'images' / '03.png').rename(root / 'images' / '03.PNG')
    (root / 'labels' / '05.png').rename(root / 'labels' / '05.Png')
    dataset = filled_scenes.build()
    assert len(dataset) == 12
    assert dataset.get_data_info(3)['img_path'] == str(root / 'images' / '03.PNG')
    assert dataset.get_data_info(3)['seg_map_path'] == str(root / 'labels' / '03.png')
    assert dataset.get_data_info(5)['seg_map_path'] == str(root / 'labels' / '05.Png')
    assert all(sample['data_samples'].gt_sem_seg.data.shape == (1, 20, 30) for sample in dataset)
    shutil.copy(root / 'images' / '03.PNG', root / 'images' / '03.png')
    with pytest.raises(ValueError, match=r'images holds both 03\.P?p?.*Rename or remove one'):
        filled_scenes.build()


@pytest.mark.parametrize('labelled', [True, False])
def test_images_of_other_kinds_are_named(filled_scenes, labelled, monkeypatch):
    root = filled_scenes.root
    (root / 'images' / '03.png').rename(root / 'images' / '03.jpg')
    # Not images, not of the data set, or there anyway.
    for name in ('notes.txt', '04.jpg'):
        (root / 'images' / name).touch()
    said = []
    monkeypatch.setattr('udass.datasets.base.dataset.print_log', lambda text, **_: said.append(text))
    dataset = filled_scenes.build(labelled=labelled)
    assert len(dataset) == 11 and len(said) == 1
    assert 'UDADataset: 1 images in ' in said[0] and 'do not end in .png and are left out: 03.jpg.' in said[0]


def test_ids_of_label_tables_may_be_strings(filled_scenes):
    assert filled_scenes.build(label_table={'0': 0, '7': 1, '255': 255}).label_table == {0: 0, 7: 1, 255: 255}
    # What an option of the command line adds stands last, and counts.
    assert filled_scenes.build(label_table={0: 0, 1: 1, '1': 2}).label_table == {0: 0, 1: 2}
    assert filled_scenes.build(label_table={0: 0, 70000: 2}).label_table == {0: 0, 70000: 2}


@pytest.mark.parametrize(
    'table',
    [[0, 1, 2], 'identity', {}, {'ground': 0}, {0: 'ground'}, {0.5: 0}, {0: 1.0}, {0: None}, {-1: 0}, {'-1': 0}, {0: 3}]
    + [{0: 254}, {0: True}],
)
def test_wrong_label_tables_are_named(filled_scenes, table):
    with pytest.raises(ValueError, match='UDADataset: label_table'):
        filled_scenes.build(label_table=table)


def test_up_to_255_classes_fit_into_a_label(filled_scenes):
    def classes(number):
        return dict(classes=tuple(map(str, range(number))), palette=[[0, 0, 0]] * number)

    assert filled_scenes.build(metainfo=classes(255)).label_table[254] == 254
    for number in (256, 300):
        with pytest.raises(ValueError, match=f'{number} classes are more than 255'):
            filled_scenes.build(metainfo=classes(number))
