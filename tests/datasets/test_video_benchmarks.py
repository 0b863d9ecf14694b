"""The video data sets in their published layout: frames, tables, what is ignored, protocols."""

import shutil

import cv2
import numpy as np
import pytest

from tests.datasets.published import (
    id_columns,
    write_bdd_vid,
    write_cityscapes_snippet,
    write_png,
    write_synthia_seq,
    write_viper,
)
from udass.datasets import (
    BDDVid,
    CamVidVideo,
    CityscapesSeq,
    LongTailDataset,
    SeededInfiniteSampler,
    SynthiaSeq,
    Viper,
    check_dataset,
    class_statistics,
)
from udass.datasets.base.classes import video_benchmark
from udass.datasets.gta import without_ego_vehicle

LOAD = [dict(type='LoadClip'), dict(type='LoadClipLabels')]
# Raw id -> train id.
VIPER_FROM_CITYSCAPES = {
    **dict(zip((7, 8, 11, 13, 19, 20, 21, 22, 23, 24, 26, 27, 28, 32, 33), range(15), strict=True)),
    25: 9,
}
FROM_VIPER = {**dict(zip((3, 4, 9, 11, 13, 14, 7, 6, 2, 20, 24, 27, 26, 23, 22), range(15), strict=True)), 8: 6}
FROM_SYNTHIA = dict(zip((3, 4, 2, 5, 7, 15, 9, 6, 1, 10, 11, 8), range(12), strict=True))


def names(dataset, key='frame_paths') -> list[list[str]]:
    return [
        [path and path.split('/')[-1] for path in dataset.get_data_info(index)[key]] for index in range(len(dataset))
    ]


def seen(labels) -> list[int]:
    return sorted(np.unique(labels).tolist())


@pytest.mark.parametrize(
    'table, published, listed',
    [
        (video_benchmark('viper', 'X').from_label_ids(), VIPER_FROM_CITYSCAPES, {*range(34), 255}),
        (
            video_benchmark('viper_rider_ignored', 'X').from_label_ids(),
            {raw: new for raw, new in VIPER_FROM_CITYSCAPES.items() if raw != 25},
            {*range(34), 255},
        ),
        (
            video_benchmark('synthia_seq', 'X').from_label_ids(),
            dict(zip((7, 8, 11, 13, 17, 19, 20, 21, 23, 24, 25, 26), range(12), strict=True)),
            {*range(34), 255},
        ),
        # UnifiedVideoDA ignores wall, pole, rider and train of the 19; for SYNTHIA-Seq wall, terrain, truck, bus,
        # train, motorcycle and bicycle, and fence, which is trained here but not reported.
        (
            video_benchmark('viper', 'X').from_train_ids(),
            dict(zip((0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15, 17, 18), range(15), strict=True)),
            {*range(19), 255},
        ),
        (
            video_benchmark('synthia_seq', 'X').from_train_ids(),
            dict(zip((0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13), range(12), strict=True)),
            {*range(19), 255},
        ),
        (Viper.LABEL_TABLE, FROM_VIPER, {*range(32), 255}),
        (SynthiaSeq.LABEL_TABLE, FROM_SYNTHIA, {*range(23)}),
    ],
)
def test_tables_list_every_id_of_the_coding(table, published, listed):
    assert set(table) == listed
    assert {raw: new for raw, new in table.items() if new != 255} == published


def test_lists_and_protocols_are_those_of_the_benchmarks():
    for kind, published in (
        (Viper, {3: 5, 4: 5, 5: 5, 7: 5, 13: 5, 14: 100}),
        (SynthiaSeq, {3: 5, 4: 5, 5: 5, 6: 5, 10: 5}),
    ):
        classes, rare = kind.METAINFO['classes'], kind.METAINFO['rare_classes']
        assert {classes.index(entry['name']): entry['min_pixels'] for entry in rare} == published
        assert len(kind.METAINFO['palette']) == len(classes)
    assert len(Viper.METAINFO['classes']) == 15 and Viper.METAINFO['protocols'] == {}
    assert set(SynthiaSeq.METAINFO['classes']) - set(SynthiaSeq.METAINFO['protocols']['mIoU11']) == {'fence'}
    assert len(SynthiaSeq.METAINFO['classes']) == 12


# --------------------------------------------------------------------------- BDDVid


def build_bdd(root, **changes):
    return BDDVid(**{**dict(data_root=str(root), split='val_orig_10k', benchmark='viper'), **changes})


def test_the_clips_of_bddvid_are_two_numbers_apart_and_end_at_its_labelled_frame(tmp_path):
    for video in ('53f06672-e942bc38', 'a110e9ed-9e1e288a'):
        write_bdd_vid(tmp_path, 'val_orig_10k', video)
    dataset = build_bdd(tmp_path, past=1, pipeline=LOAD, test_mode=True)
    assert names(dataset) == [
        [f'{video}_{number}.jpg' for number in (307, 305, 305, 303)]
        for video in ('53f06672-e942bc38', 'a110e9ed-9e1e288a')
    ]
    assert names(dataset, 'label_paths')[0] == ['53f06672-e942bc38_307.png', None, None, None]
    # Road, rider (no class of VIPER), car, ignored.
    assert seen(dataset[0]['gt_seg_map']) == [0, 10, 255] and 'gt_seg_map_1' not in dataset[0]
    assert seen(build_bdd(tmp_path, benchmark='synthia_seq', pipeline=LOAD)[0]['gt_seg_map']) == [0, 10, 11, 255]
    assert dataset.metainfo['classes'] == Viper.METAINFO['classes']
    report = check_dataset(build_bdd(tmp_path, pipeline=LOAD))
    assert not report.problems and report.images == 2


def test_bddvid_is_a_target_without_labels(tmp_path):
    write_bdd_vid(tmp_path, labelled=False)
    dataset = build_bdd(tmp_path, split='train', labelled=False, pipeline=LOAD[:1])
    assert names(dataset) == [['53f06672-e942bc38_307.jpg', '53f06672-e942bc38_305.jpg']]
    assert len(dataset[0]['other_frames']) == 1 and 'seg_map_path' not in dataset.get_data_info(0)


def test_what_is_missing_of_bddvid_is_named(tmp_path):
    write_bdd_vid(tmp_path, 'val_orig_10k')
    with pytest.raises(ValueError, match=r"BDDVid: benchmark must be one of .*, got 'gta'"):
        build_bdd(tmp_path, benchmark='gta')
    with pytest.raises(FileNotFoundError, match='Unpack the videos of BDD100K'):
        build_bdd(tmp_path, split='train')
    (tmp_path / 'val_orig_10k/images/53f06672-e942bc38_305.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'_305\.jpg is missing; it lies 1 frame\(s\) before'):
        build_bdd(tmp_path)
    (tmp_path / 'val_orig_10k/images/53f06672-e942bc38_307.jpg').unlink()
    with pytest.raises(ValueError, match='Only frames <video>_307 are used; found for example'):
        build_bdd(tmp_path)


# --------------------------------------------------------------------------- Cityscapes-Seq


@pytest.fixture
def cityscapes(tmp_path):
    """Snippets of frankfurt, two of one recording; their labelled frames have other numbers than 19."""
    write_cityscapes_snippet(tmp_path, 'val', city='frankfurt', first=275, labelled_frame=294, length=21)
    write_cityscapes_snippet(tmp_path, 'val', city='frankfurt', first=557, labelled_frame=576, length=21)
    return tmp_path


def build_cityscapes(root, **changes):
    return CityscapesSeq(**{**dict(data_root=str(root), split='val', benchmark='viper', test_mode=True), **changes})


def test_the_labelled_frame_of_a_snippet_is_the_one_that_gtfine_names(cityscapes):
    dataset = build_cityscapes(cityscapes, pipeline=LOAD)
    assert names(dataset) == [
        [f'frankfurt_000000_{number:06d}_leftImg8bit.png' for number in clip] for clip in ((294, 293), (576, 575))
    ]
    assert names(dataset, 'label_paths')[0] == ['frankfurt_000000_000294_gtFine_labelIds.png', None]
    sample = dataset[0]
    # Road, rider as person, car, unlabelled.
    assert seen(sample['gt_seg_map']) == [0, 9, 10, 255] and 'gt_seg_map_1' not in sample
    ignored = build_cityscapes(cityscapes, benchmark='viper_rider_ignored', pipeline=LOAD)
    assert seen(ignored[0]['gt_seg_map']) == [0, 10, 255] and ignored.metainfo['classes'] == dataset.metainfo['classes']


def test_the_same_frames_are_a_target_without_labels(cityscapes):
    for path in cityscapes.rglob('*_labelIds.png'):
        path.write_bytes(b'never opened')
    dataset = build_cityscapes(
        cityscapes, labelled=False, past=2, test_mode=False, benchmark='synthia_seq', pipeline=LOAD[:1]
    )
    assert [name[17:23] for name in names(dataset)[0]] == ['000294', '000293', '000292', '000291']
    assert len(dataset[0]['other_frames']) == 3 and 'seg_map_path' not in dataset.get_data_info(0)
    assert dataset.metainfo['classes'] == SynthiaSeq.METAINFO['classes'] and 'mIoU11' in dataset.metainfo['protocols']


def test_every_frame_stops_at_the_borders_of_snippets(cityscapes):
    shutil.rmtree(cityscapes / 'gtFine')
    dataset = build_cityscapes(cityscapes, labelled=False, every_frame=True, test_mode=False)
    assert len(dataset) == 2 * 20
    firsts = [clip[0][17:23] for clip in names(dataset)]
    assert '000275' not in firsts and '000276' in firsts and '000557' not in firsts


@pytest.mark.parametrize(
    'number, message',
    [
        (293, r'frankfurt_000000_000293_leftImg8bit\.png is missing; it lies 1 frame\(s\) before .*000294'),
        (294, r'frankfurt_000000_000294_leftImg8bit\.png is missing \(1 of 2 frames that gtFine names\)'),
    ],
)
def test_a_missing_frame_of_cityscapes_is_named(cityscapes, number, message):
    (cityscapes / f'leftImg8bit_sequence/val/frankfurt/frankfurt_000000_{number:06d}_leftImg8bit.png').unlink()
    with pytest.raises(FileNotFoundError, match=message):
        build_cityscapes(cityscapes)


def test_the_frame_before_each_labelled_one_is_tested_for_consistency(cityscapes):
    dataset = build_cityscapes(cityscapes, frame_before=True, pipeline=[*LOAD, dict(type='PackClip')])
    assert [[name[17:23] for name in clip] for clip in names(dataset)] == [
        ['000293', '000292'],
        ['000294', '000293'],
        ['000575', '000574'],
        ['000576', '000575'],
    ]
    assert names(dataset, 'label_paths')[:2] == [[None, None], ['frankfurt_000000_000294_gtFine_labelIds.png', None]]
    before, labelled = (dataset[index]['data_samples'].gt_sem_seg.data for index in (0, 1))
    assert before.shape == labelled.shape and seen(before) == [255]
    assert seen(labelled[0]) == [0, 9, 10, 255] and seen(labelled[1]) == [255]
    report = check_dataset(dataset)
    assert not report.problems and report.images == 4
    (cityscapes / 'leftImg8bit_sequence/val/frankfurt/frankfurt_000000_000574_leftImg8bit.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'000574_leftImg8bit\.png is missing; it lies 1 frame\(s\) before'):
        build_cityscapes(cityscapes, frame_before=True)


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(frame_before=True, test_mode=False), 'needs labelled=True and test_mode=True, got True and False'),
        (dict(frame_before=True, labelled=False), 'needs labelled=True and test_mode=True, got False and True'),
        (dict(benchmark='gta'), r"must be one of \['synthia_seq', 'viper', 'viper_rider_ignored'\], got 'gta'"),
        (dict(every_frame=True), 'every_frame=True needs labelled=False'),
        (dict(metainfo=dict(classes=('a',))), 'the benchmark sets the classes'),
    ],
)
def test_impossible_wishes(cityscapes, wrong, message):
    with pytest.raises(ValueError, match=message):
        build_cityscapes(cityscapes, **wrong)


# --------------------------------------------------------------------------- VIPER


def test_viper_is_every_tenth_frame_with_the_one_before(tmp_path):
    write_viper(tmp_path, frames=(9, 10, 11, 19, 20), ids=(3, 20, 0, 20))
    dataset = Viper(data_root=str(tmp_path), pipeline=LOAD)
    assert names(dataset) == [['001_00010.jpg', '001_00009.jpg'], ['001_00020.jpg', '001_00019.jpg']]
    sample = dataset[0]
    assert seen(sample['gt_seg_map']) == seen(sample['gt_seg_map_1']) == [0, 9, 255]


def test_viper_needs_all_frames(tmp_path):
    write_viper(tmp_path, frames=(9, 10, 20))
    with pytest.raises(FileNotFoundError, match=r'001_00019\.jpg is missing; it lies 1 frame\(s\) before 001/001_'):
        Viper(data_root=str(tmp_path))
    with pytest.raises(ValueError, match='every=7 means frames whose number is a multiple of it'):
        Viper(data_root=str(tmp_path), every=7)


def ego_label() -> np.ndarray:
    """(8, 10): road, a car at the bottom centre that touches a corner of another blob, and a car at the side."""
    ids = np.full((8, 10), 3, np.uint8)
    ids[6:, 3:7] = 24
    ids[5, 7] = 24  # diagonal neighbour: the same blob
    ids[1:3, 1:3] = 24
    return ids


def test_the_ego_vehicle_is_the_car_at_the_bottom_centre():
    cleaned = without_ego_vehicle(ego_label())
    assert (cleaned[6:, 3:7] == 0).all() and cleaned[5, 7] == 0
    assert (cleaned[1:3, 1:3] == 24).all() and (cleaned == 24).sum() == 4 and cleaned.dtype == np.uint8
    without = ego_label()
    without[-1] = 3  # no car touches the lowest row
    assert without_ego_vehicle(without).tolist() == without.tolist()
    beside = np.full((8, 10), 3, np.uint8)
    beside[6:, :4] = 24  # a car at the bottom, but not at its centre (columns 4 and 5)
    assert (without_ego_vehicle(beside) == 24).sum() == 8


def test_the_ego_vehicle_is_ignored_wherever_labels_are_read(tmp_path):
    write_viper(tmp_path, frames=(9, 10), size=(10, 8))
    for number in (9, 10):
        write_png(tmp_path / f'train/cls/001/001_{number:05d}.png', ego_label())
    sample = Viper(data_root=str(tmp_path), pipeline=LOAD)[0]
    for key in ('gt_seg_map', 'gt_seg_map_1'):
        assert (sample[key] == 255).sum() == 9 and (sample[key] == 10).sum() == 4
    statistics = class_statistics(Viper(data_root=str(tmp_path)))
    assert statistics.pixels[0, 10] == 4 and statistics.ignored[0] == 9


def test_rare_classes_are_found_in_clips(tmp_path):
    write_viper(tmp_path, size=(40, 20), frames=(9, 10, 19, 20))
    ids = np.full((20, 40), 3, np.uint8)
    ids[2:6, 30:36] = 14
    write_png(tmp_path / 'train/cls/001/001_00020.png', ids)
    pipeline = [*LOAD, dict(type='ClipCrop', crop_size=20), dict(type='PackClip')]
    dataset = LongTailDataset(Viper(data_root=str(tmp_path), pipeline=pipeline))
    sample = next(dataset[draw] for draw in SeededInfiniteSampler(dataset, seed=0))
    assert sample['inputs'].shape == (2, 3, 20, 20)
    assert sample['data_samples'].paste_class == 5 and sample['data_samples'].img_path.endswith('001_00020.jpg')
    assert (sample['data_samples'].gt_sem_seg.data[0] == 5).sum() > 5


# --------------------------------------------------------------------------- SYNTHIA-Seq


def test_synthia_seq_labels_are_the_red_channel_of_16_bit_files(tmp_path):
    write_synthia_seq(tmp_path)
    dataset = SynthiaSeq(data_root=str(tmp_path), pipeline=LOAD)
    assert names(dataset) == [['000001.png', '000000.png'], ['000002.png', '000001.png']]
    assert seen(dataset[0]['gt_seg_map']) == [0, 1, 10, 255]


def test_the_lowest_120_of_760_rows_are_never_labelled_and_can_be_cut_off(tmp_path):
    write_synthia_seq(tmp_path, ids=(3, 4), frames=range(2))
    dataset = SynthiaSeq(data_root=str(tmp_path), pipeline=LOAD)
    labels = dataset[0]['gt_seg_map']
    assert labels.shape == (38, 64) and (labels[32:] == 255).all() and (labels[:32] != 255).all()
    statistics = class_statistics(dataset)
    assert statistics.pixels.sum() == 32 * 64 and statistics.ignored.sum() == 6 * 64
    cut = SynthiaSeq(data_root=str(tmp_path), pipeline=[*LOAD, dict(type='CutBottomRows', rows=120, height=760)])[0]
    assert cut['img'].shape == cut['other_frames'][0].shape == (32, 64, 3)
    assert cut['gt_seg_map'].shape == cut['gt_seg_map_1'].shape == cut['img_shape'] == (32, 64)
    assert (cut['gt_seg_map'] != 255).all()


# --------------------------------------------------------------------------- CamVid, checking


def test_camvid_is_101_consecutive_labelled_frames(camvid_root):
    dataset = CamVidVideo(data_root=camvid_root, test_mode=True, pipeline=LOAD)
    assert len(dataset) == 101
    assert names(dataset)[0] == ['0016E5_07959.jpg'] * 2
    assert names(dataset)[-1] == ['0016E5_08159.jpg', '0016E5_08157.jpg']
    assert len(CamVidVideo(data_root=camvid_root, labelled=False, past=1)) == 99
    sample = dataset[100]
    # Neighbours at 15 Hz look alike, and so do their labels.
    assert np.mean(sample['gt_seg_map'] == sample['gt_seg_map_1']) > 0.8
    stills = CamVidVideo(data_root=camvid_root, split='train', exclude_sequence='0001TP', step=0)
    assert len(stills) == 305 and len({*names(stills)[0]}) == 1


def test_checking_reads_all_frames_of_clips(tmp_path):
    write_viper(tmp_path, frames=(9, 10, 19, 20), size=(20, 10))
    report = check_dataset(Viper(data_root=str(tmp_path), lazy_init=True))
    assert report.images == 2 and not report.problems
    (tmp_path / 'train/img/001/001_00009.jpg').write_bytes(b'no image')
    assert cv2.imwrite(str(tmp_path / 'train/cls/001/001_00019.png'), id_columns((3, 77), 20, 10))
    problems = check_dataset(Viper(data_root=str(tmp_path), lazy_init=True)).problems
    assert len(problems) == 2
    assert '001_00009.jpg' in problems[0] and '001_00019.png holds the label ids [77]' in problems[1]
