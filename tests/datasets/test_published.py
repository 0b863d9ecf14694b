"""The benchmarks' data sets: encodings, layouts, tables and lists."""

import numpy as np
import pytest

from tests.datasets.published import (
    id_columns,
    write_acdc,
    write_cityscapes,
    write_dark_zurich,
    write_gta,
    write_png,
    write_synthia,
)
from udass.datasets import (
    ACDC,
    GTA,
    CamVidDataset,
    CamVidVideo,
    Cityscapes,
    CityscapesSeq,
    DarkZurich,
    StreetsClips,
    StreetsDataset,
    Synthia,
    SynthiaSeq,
    Viper,
)

LOAD = [dict(type='LoadImage'), dict(type='LoadLabels')]
# Raw ids of the train ids 0 to 18, as in the tables of the papers.
CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
SYNTHIA = (3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11)


def columns(sample) -> list:
    """Train id of each stripe of the label."""
    labels = sample['gt_seg_map']
    assert (labels == labels[0]).all()
    return [int(value) for number, value in enumerate(labels[0]) if number == 0 or value != labels[0][number - 1]]


@pytest.mark.parametrize(
    'kind, published, listed',
    [
        (Cityscapes, CITYSCAPES, {*range(34), 255}),
        (GTA, CITYSCAPES, {*range(35), 255}),
        (Synthia, SYNTHIA, {*range(23)}),
    ],
)
def test_tables_list_every_id_of_the_coding(kind, published, listed):
    assert set(kind.LABEL_TABLE) == listed
    assert {raw: new for raw, new in kind.LABEL_TABLE.items() if new != 255} == dict(
        zip(published, range(19), strict=True)
    )


def test_cityscapes(tmp_path):
    write_cityscapes(tmp_path, 'train', ids=(7, 1, 33, 26))
    write_cityscapes(tmp_path, 'val')
    dataset = Cityscapes(data_root=str(tmp_path), split='train', pipeline=LOAD)
    assert len(dataset) == 1
    assert columns(dataset[0]) == [0, 255, 18, 13]


def test_gta_labels_are_the_indices_of_a_palette(tmp_path):
    write_gta(tmp_path, ids=(7, 34, 33, 26))
    assert columns(GTA(data_root=str(tmp_path), pipeline=LOAD)[0]) == [0, 255, 18, 13]


def test_a_gta_image_one_pixel_larger_than_its_label(tmp_path):
    write_gta(tmp_path, ids=(7, 33), size=(193, 107), label_size=(192, 106))
    with pytest.raises(ValueError, match=r'labels/00001\.png is 192x106 pixels, its image .*images/00001\.png 193x107'):
        GTA(data_root=str(tmp_path), pipeline=LOAD)[0]
    sample = GTA(data_root=str(tmp_path), pipeline=[LOAD[0], dict(type='LoadLabels', max_size_difference=1)])[0]
    assert sample['gt_seg_map'].shape == sample['img'].shape[:2] == (107, 193)
    assert columns(sample) == [0, 18]


def test_synthia_labels_are_the_red_channel_of_16_bit_files(tmp_path):
    write_synthia(tmp_path, ids=(3, 22, 11, 8))
    assert columns(Synthia(data_root=str(tmp_path), pipeline=LOAD)[0]) == [0, 255, 18, 13]


@pytest.mark.parametrize('kind, write, unknown', [(GTA, write_gta, 40), (Synthia, write_synthia, 23)])
def test_an_id_that_is_not_in_the_table_is_an_error(tmp_path, kind, write, unknown):
    write(tmp_path, ids=(7, unknown))
    with pytest.raises(ValueError, match=rf'holds the label ids \[{unknown}\], which are not in the label table'):
        kind(data_root=str(tmp_path), pipeline=LOAD)[0]


@pytest.fixture
def acdc(tmp_path):
    for condition in ('fog', 'night', 'rain', 'snow'):
        for split in ('train', 'val', 'test'):
            write_acdc(tmp_path, condition, split, labelled=split != 'test')
    return str(tmp_path)


def test_acdc_conditions_are_chosen_and_named(acdc):
    dataset = ACDC(data_root=acdc, split='val', pipeline=[*LOAD, dict(type='PackUDAInputs')])
    assert [dataset[i]['data_samples'].condition for i in range(len(dataset))] == ['fog', 'night', 'rain', 'snow']
    dataset = ACDC(data_root=acdc, split='train', conditions=['snow', 'night'], pipeline=LOAD)
    assert [dataset[i]['img_path'].split('/')[-4] for i in range(len(dataset))] == ['night', 'snow']
    assert columns(dataset[0]) == [0, 13, 18, 255]


def test_acdc_without_labels(acdc):
    assert len(ACDC(data_root=acdc, split='test', labelled=False)) == 4
    with pytest.raises(FileNotFoundError, match=r'4 of 4 images .* have no label .*set labelled=False'):
        ACDC(data_root=acdc, split='test')


@pytest.mark.parametrize('conditions', [['sun'], [], 'fog'])
def test_acdc_conditions_that_do_not_exist(acdc, conditions):
    with pytest.raises(ValueError, match=r"conditions must be a list of some of \['fog', 'night', 'rain', 'snow'\]"):
        ACDC(data_root=acdc, split='val', conditions=conditions)


def test_an_acdc_split_that_is_not_there_lists_those_that_are(tmp_path):
    write_acdc(tmp_path, 'fog', 'train')
    with pytest.raises(ValueError, match=r"split='val', .*; there are \['fog/train'\]"):
        ACDC(data_root=str(tmp_path), split='val')


def test_dark_zurich(tmp_path):
    write_dark_zurich(tmp_path, 'val')
    write_dark_zurich(tmp_path, 'train', labelled=False)
    write_dark_zurich(tmp_path, 'train', labelled=False, time='day')
    assert columns(DarkZurich(data_root=str(tmp_path), split='val', pipeline=LOAD)[0]) == [0, 13, 18, 255]
    assert len(DarkZurich(data_root=str(tmp_path), split='train', labelled=False)) == 1
    with pytest.raises(FileNotFoundError, match='gt/train/night does not exist.*labelled=False'):
        DarkZurich(data_root=str(tmp_path), split='train')


@pytest.mark.parametrize(
    'kind, ids, min_pixels',
    [
        (GTA, [3, 4, 5, 6, 12, 15, 16, 17, 18], 50),
        (StreetsDataset, [3, 4, 5, 6, 12, 15, 16, 17, 18], 50),
        (Synthia, [3, 3, 4, 4, 4, 4, 5, 5, 6, 7, 12, 13, 18], 10),
        (Cityscapes, [4, 6, 15, 17, 18], 50),
    ],
)
def test_rare_classes_are_those_of_quadmix(kind, ids, min_pixels):
    classes, rare = kind.METAINFO['classes'], kind.METAINFO['rare_classes']
    assert [classes.index(entry['name']) for entry in rare for _ in range(int(entry['weight']))] == ids
    assert all(entry['weight'] == int(entry['weight']) for entry in rare)
    assert {entry['min_pixels'] for entry in rare} == {min_pixels}


@pytest.mark.parametrize('kind', [ACDC, Cityscapes, DarkZurich, GTA, StreetsDataset, Synthia])
def test_all_share_the_19_classes(kind):
    metainfo = kind.METAINFO
    assert metainfo['classes'] == Cityscapes.METAINFO['classes'] and len(metainfo['palette']) == 19
    assert [metainfo['classes'].index(name) for name in metainfo['thing_classes']] == [6, 7, *range(11, 19)]
    assert ('pseudo_margins' in metainfo) == (kind is Cityscapes)


@pytest.mark.parametrize(
    'kind, options, needed',
    [
        (Cityscapes, dict(split='train'), 'leftImg8bit/train does not exist.*gtFine_trainvaltest'),
        (GTA, {}, 'images does not exist.*01_labels'),
        (Synthia, {}, 'RGB does not exist.*SYNTHIA_RAND'),
        (ACDC, dict(split='val'), 'rgb_anon does not exist.*gt_trainval'),
        (DarkZurich, dict(split='val'), 'rgb_anon/val/night does not exist.*Dark_Zurich_val'),
        (StreetsDataset, dict(domain='game', split='val'), 'game/val/images does not exist.*`udass streets`'),
        (CamVidDataset, dict(split='train'), 'images/train does not exist.*small_benchmarks.*UDASS_CAMVID'),
        (CamVidVideo, {}, 'images/val does not exist.*UDASS_CAMVID'),
        (
            CityscapesSeq,
            dict(split='val', benchmark='viper'),
            'leftImg8bit_sequence/val does not exist.*leftImg8bit_sequence_trainvaltest',
        ),
        (Viper, {}, 'train/img does not exist.*playing-for-benchmarks'),
        (SynthiaSeq, {}, 'SEQS-04-DAWN/rgb does not exist.*synthia-dataset'),
        (StreetsClips, dict(domain='game', split='val'), 'game_clips/val does not exist.*--clips'),
    ],
)
def test_missing_files_say_what_to_unpack(tmp_path, kind, options, needed):
    with pytest.raises(FileNotFoundError, match=needed):
        kind(data_root=str(tmp_path), **options)


def test_domain_and_split_of_streets_name_the_folders(tmp_path):
    for domain, value in (('game', 17), ('camera', 18)):
        for folder in ('images', 'labels'):
            write_png(tmp_path / domain / 'train' / folder / '0.png', np.full((4, 6), value, np.uint8))
    dataset = StreetsDataset(data_root=str(tmp_path), domain='camera', split='train', pipeline=LOAD)
    assert dataset[0]['img_path'] == str(tmp_path / 'camera/train/images/0.png') and columns(dataset[0]) == [18]


def test_cityscapes_255_is_void(tmp_path):
    write_cityscapes(tmp_path)
    write_png(tmp_path / 'gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png', id_columns((255, 7), 64, 32))
    assert columns(Cityscapes(data_root=str(tmp_path), split='train', pipeline=LOAD)[0]) == [255, 0]
