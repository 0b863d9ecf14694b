"""BDD100K, Mapillary Vistas, WildDash 2, Synscapes and UrbanSyn: every id of their codings, in their layouts."""

import numpy as np
import pytest
from mmseg.registry import DATASETS

from tests.datasets.published import (
    id_columns,
    write_bdd100k,
    write_mapillary,
    write_synscapes,
    write_urbansyn,
    write_wilddash,
)
from udass.datasets import BDD100K, Cityscapes, Mapillary, MapillaryV2, Synscapes, UrbanSyn, WildDash2, class_statistics

LOAD = [dict(type='LoadImage'), dict(type='LoadLabels')]
CLASSES = Cityscapes.METAINFO['classes']
# Names of Mapillary's classes, as mmseg lists them by id -> class of Cityscapes. All others are ignored.
V1_2 = {
    **{'Road': 'road', 'Lane Marking - General': 'road', 'Manhole': 'road', 'Sidewalk': 'sidewalk', 'Curb': 'sidewalk'},
    **{'Building': 'building', 'Wall': 'wall', 'Fence': 'fence', 'Pole': 'pole', 'Utility Pole': 'pole'},
    **{'Traffic Light': 'traffic light', 'Traffic Sign (Front)': 'traffic sign', 'Vegetation': 'vegetation'},
    **{'Terrain': 'terrain', 'Sky': 'sky', 'Person': 'person', 'Bicyclist': 'rider', 'Motorcyclist': 'rider'},
    **{'Other Rider': 'rider', 'Car': 'car', 'Truck': 'truck', 'Bus': 'bus', 'On Rails': 'train'},
    **{'Motorcycle': 'motorcycle', 'Bicycle': 'bicycle'},
}
CROSSWALKS = ('Lane Marking - Crosswalk', 'Lane Marking (only) - Crosswalk')
SIGNS = ('Traffic Sign - Direction (Front)', 'Traffic Sign - Parking', 'Traffic Sign - Temporary (Front)')
# The label ids of Cityscapes, by train id.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def by_name(name: str) -> int:
    """Train id of a class of Mapillary's version 2.0, from that of version 1.2."""
    if name.startswith('Lane Marking') and name not in CROSSWALKS:
        name = 'Lane Marking - General'
    if name.startswith('Traffic Light'):
        name = 'Traffic Light'
    if name in SIGNS:
        name = 'Traffic Sign (Front)'
    return CLASSES.index(V1_2[name]) if name in V1_2 else 255


def mapillary_names(version: int) -> tuple[str, ...]:
    return DATASETS.get(f'MapillaryDataset_v{version}').METAINFO['classes']


def write_public_package(root, ids, **options):
    """WildDash 2 with labels as ``pano2sem.py`` writes them."""
    write_wilddash(root, ids=ids, **options)
    (root / 'labels').rename(root / 'sem')
    (root / 'sem/ar0000_100000.png').rename(root / 'sem/ar0000_100000_labelIds.png')


CITYSCAPES_TABLE = {**dict.fromkeys([*range(34), 255], 255), **{raw: new for new, raw in enumerate(LABEL_IDS)}}
TABLES = {
    'bdd100k': (BDD100K, write_bdd100k, dict(split='val'), {**{i: i for i in range(19)}, 255: 255}),
    'mapillary 1.2': (
        Mapillary,
        write_mapillary,
        dict(split='validation'),
        {raw: CLASSES.index(V1_2[name]) if name in V1_2 else 255 for raw, name in enumerate(mapillary_names(1))},
    ),
    'mapillary 1.2, its own archive': (
        Mapillary,
        lambda root, ids, **options: write_mapillary(root, '', ids=ids, **options),
        dict(split='validation', label_folder='validation/labels'),
        Mapillary.LABEL_TABLE,
    ),
    'mapillary 2.0': (
        MapillaryV2,
        lambda root, ids, **options: write_mapillary(root, 'v2.0', ids=ids, **options),
        dict(split='validation'),
        {raw: by_name(name) for raw, name in enumerate(mapillary_names(2))},
    ),
    'wilddash2': (WildDash2, write_wilddash, {}, {**CITYSCAPES_TABLE, **dict.fromkeys(range(34, 81), 255)}),
    'wilddash2, public package': (
        WildDash2,
        write_public_package,
        dict(label_folder='sem', label_suffix='_labelIds.png'),
        WildDash2.LABEL_TABLE,
    ),
    'synscapes': (Synscapes, write_synscapes, {}, CITYSCAPES_TABLE),
    'urbansyn': (UrbanSyn, write_urbansyn, {}, {**{i: i for i in range(19)}, 19: 255, 255: 255}),
}


@pytest.mark.parametrize('kind, write, options, table', TABLES.values(), ids=TABLES)
def test_every_id_of_the_coding_in_the_published_layout(kind, write, options, table, tmp_path):
    ids = sorted(table)
    write(tmp_path, ids=ids, size=(len(ids), 4))
    dataset = kind(data_root=str(tmp_path), pipeline=LOAD, **options)
    assert len(dataset) == 1 and dataset.label_table == table
    labels = dataset[0]['gt_seg_map']
    assert labels.shape == (4, len(ids)) and (labels == [table[raw] for raw in ids]).all()
    # Statistics and checks read the files in the same way.
    pixels = class_statistics(dataset).pixels[0]
    assert pixels.tolist() == [4 * list(table.values()).count(new) for new in range(19)]


@pytest.mark.parametrize('kind, write, options, table', TABLES.values(), ids=TABLES)
def test_an_id_outside_of_the_coding_is_an_error(kind, write, options, table, tmp_path):
    unknown = next(raw for raw in range(256) if raw not in table)
    write(tmp_path, ids=(0, unknown))
    with pytest.raises(ValueError, match=rf'holds the label ids \[{unknown}\], which are not in the label table'):
        kind(data_root=str(tmp_path), pipeline=LOAD, **options)[0]


@pytest.mark.parametrize('version, number', [(1, 66), (2, 124)])
def test_the_names_of_mapillary_are_those_of_the_versions(version, number):
    names = mapillary_names(version)
    assert len(names) == len(set(names)) == number
    if version == 1:
        assert set(V1_2) <= set(names)
    else:
        assert {*CROSSWALKS, *SIGNS} <= set(names)


@pytest.mark.parametrize(
    'kind, options, needed',
    [
        (BDD100K, dict(split='val'), 'images/10k/val does not exist.*bdd100k_sem_seg_labels_trainval'),
        (Mapillary, dict(split='validation'), 'validation/images does not exist.*mapillary.com/dataset/vistas'),
        (MapillaryV2, dict(split='training'), 'training/images does not exist'),
        (WildDash2, {}, 'images does not exist.*wd_public_02.zip'),
        (Synscapes, {}, 'img/rgb does not exist.*synscapes.on.liu.se'),
        (UrbanSyn, {}, 'rgb does not exist.*urbansyn.org'),
    ],
)
def test_missing_files_say_what_to_unpack(tmp_path, kind, options, needed):
    with pytest.raises(FileNotFoundError, match=needed):
        kind(data_root=str(tmp_path), **options)


@pytest.mark.parametrize('kind', [BDD100K, Mapillary, MapillaryV2, Synscapes, UrbanSyn, WildDash2])
def test_all_share_the_19_classes(kind):
    assert kind.METAINFO['classes'] == CLASSES and kind.METAINFO['palette'] == Cityscapes.METAINFO['palette']
    assert ('rare_classes' in kind.METAINFO) == (kind in (Synscapes, UrbanSyn))


def test_synscapes_at_the_size_of_cityscapes(tmp_path):
    """Its labels exist at 1440x720 only."""
    write_synscapes(tmp_path, ids=(7, 33), size=(90, 45))
    options = dict(data_root=str(tmp_path), image_folder='img/rgb-2k')
    with pytest.raises(ValueError, match=r'class/1\.png is 90x45 pixels, its image .*rgb-2k/1\.png 128x64'):
        Synscapes(pipeline=LOAD, **options)[0]
    sample = Synscapes(pipeline=[LOAD[0], dict(type='LoadLabels', max_size_difference=608)], **options)[0]
    assert sample['img'].shape == (64, 128, 3)
    np.testing.assert_array_equal(sample['gt_seg_map'], np.array([0, 18], np.uint8).repeat(64)[None].repeat(64, 0))


def test_images_of_urbansyn_without_label_are_named(tmp_path):
    for number in ('0001', '0002'):
        write_urbansyn(tmp_path, number)
    (tmp_path / 'ss/ss_0002.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images .* have no label in .*/ss: rgb_0002\.png'):
        UrbanSyn(data_root=str(tmp_path))
    assert len(UrbanSyn(data_root=str(tmp_path), labelled=False)) == 2
    dataset = UrbanSyn(data_root=str(tmp_path), lazy_init=True)
    assert dataset.label_names() == ['rgb_0001'] and dataset.label_path('rgb_0001').endswith('ss/ss_0001.png')


def test_the_policy_of_wilddash_is_a_label_table(tmp_path):
    """Pick-ups are trucks, vans are cars, road markings are road."""
    write_wilddash(tmp_path, ids=(34, 35, 38, 36))
    table = {**WildDash2.LABEL_TABLE, 34: 14, 35: 13, 38: 0}
    labels = WildDash2(data_root=str(tmp_path), pipeline=LOAD, label_table=table)[0]['gt_seg_map']
    np.testing.assert_array_equal(labels, id_columns((14, 13, 0, 255), 96, 54))
