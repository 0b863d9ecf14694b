"""Data sets as users of MMSegmentation write them: wrappers, mmseg's own data sets, and mmseg's own transforms."""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS

from tests.datasets.conftest import CLASSES, PALETTE, SceneFolder
from udass.datasets import (
    LongTailDataset,
    RareClassDataset,
    SampleKey,
    SeededDataset,
    SeededInfiniteSampler,
    class_statistics,
)
from udass.datasets.sampling import statistics
from udass.datasets.sampling.counting import label_table
from udass.datasets.sampling.wrappers import locate
from udass.engine.data_loader import domain_configs

CROP = (dict(type='RareClassCrop', crop_size=(8, 8)),)
MMSEG_PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *CROP, dict(type='PackUDAInputs')]


@pytest.fixture
def others(tmp_path):
    """Two images of 20 x 30 pixels: the left half tree, the right half lamp."""
    folder = SceneFolder(tmp_path / 'others')
    for name in ('x', 'y'):
        folder.add(name, np.repeat(np.array([1, 2], np.uint8), 15)[None].repeat(20, 0))
    return folder


def concatenated(*folders, **changes):
    return dict(type='ConcatDataset', datasets=[folder.config(transforms=CROP, **changes) for folder in folders])


def mmseg_dataset(folder, **changes):
    return {
        **dict(
            type='BaseSegDataset',
            data_root=str(folder.root),
            img_suffix='.png',
            seg_map_suffix='.png',
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=MMSEG_PIPELINE,
            metainfo=dict(classes=CLASSES, palette=PALETTE),
        ),
        **changes,
    }


def paths(dataset, number):
    return [
        dataset[draw]['data_samples'].img_path.split('/')[-3:]
        for draw in islice(SeededInfiniteSampler(dataset, seed=0, shuffle=False), number)
    ]


# ---------------------------------------------------------------- wrappers


def test_concatenated_sources_are_drawn_one_after_the_other(filled_scenes, others):
    dataset = SeededDataset(concatenated(filled_scenes, others))
    assert len(dataset) == 14
    found = paths(dataset, 14)
    assert [folder for folder, _, _ in found] == ['scenes'] * 12 + ['others'] * 2
    assert [name for _, _, name in found[11:]] == ['11.png', 'x.png', 'y.png']


def test_a_sample_goes_through_the_pipeline_of_its_own_data_set(filled_scenes, others):
    config = concatenated(filled_scenes, others)
    config['datasets'][1]['pipeline'][2] = dict(type='RareClassCrop', crop_size=(4, 6))
    dataset = SeededDataset(config)
    shapes = [tuple(dataset[SampleKey(index, 0, 1)]['inputs'].shape) for index in (0, 11, 12, 13)]
    assert shapes == [(3, 8, 8)] * 2 + [(3, 4, 6)] * 2


def test_a_repeated_target_and_wrappers_in_wrappers(filled_scenes, others):
    dataset = SeededDataset(dict(type='RepeatDataset', times=3, dataset=concatenated(filled_scenes, others)))
    assert len(dataset) == 42
    inner, index = locate(dataset.dataset, 14 + 13)
    assert inner.data_root == str(others.root) and index == 1


def test_rare_classes_are_found_in_all_of_the_sources(filled_scenes, others):
    """Lamps: 4 pixels in three images of the first, 300 in both of the second."""
    dataset = RareClassDataset(concatenated(filled_scenes, others), temperature=1.0, min_pixels=3)
    drawn = [dataset.get_data_info(draw) for draw in islice(SeededInfiniteSampler(dataset, seed=0), 400)]
    lamps = {info['img_path'][-6:-4].strip('/') for info in drawn if info['rare_class'] == 2}
    assert lamps == {'00', '01', '02', 'x', 'y'}
    sample = dataset[SampleKey(0, 0, 1)]
    assert sample['data_samples'].rare_class in (0, 1, 2)


def test_the_statistics_of_wrappers_are_those_of_the_parts(filled_scenes, others):
    parts = [class_statistics(DATASETS.build(folder.config())) for folder in (filled_scenes, others)]
    dataset = DATASETS.build(dict(type='RepeatDataset', times=2, dataset=concatenated(filled_scenes, others)))
    joined = class_statistics(dataset)
    once = np.concatenate([part.pixels for part in parts])
    np.testing.assert_array_equal(joined.pixels, np.concatenate([once, once]))
    assert joined.pixels[12].tolist() == [0, 300, 300] and joined.ignored[0] == 30


def test_long_tail_images_come_from_all_of_the_sources(filled_scenes, others):
    dataset = LongTailDataset(concatenated(filled_scenes, others))
    drawn = [dataset.get_data_info(draw) for draw in islice(SeededInfiniteSampler(dataset, seed=0), 100)]
    assert {info['img_path'].split('/')[-3] for info in drawn} == {'scenes', 'others'}


def other_source(folder, **changes):
    """A config of the folder that shares nothing with that of the scenes but the classes: the id of trees is 7."""
    labels = np.repeat(np.array([7, 2], np.uint8), 15)[None].repeat(20, 0)
    for name in ('x', 'y'):
        folder.add(name, labels)
    metainfo = dict(classes=list(CLASSES), palette=[[0, 0, 0]] * 3, thing_classes=['lamp'])
    return folder.config(transforms=CROP, label_table={7: 1, 2: 2}, metainfo=metainfo, **changes)


def test_joined_data_sets_share_their_classes_only(filled_scenes, tmp_path):
    """Label tables, pipelines and metainfo differ; that of the first holds, and what it lacks is of the second."""
    second = other_source(SceneFolder(tmp_path / 'others'))
    dataset = SeededDataset(dict(type='ConcatDataset', datasets=[filled_scenes.config(transforms=CROP), second]))
    assert dataset.metainfo['palette'] == PALETTE and dataset.metainfo['thing_classes'] == ['lamp']
    assert dataset.metainfo['rare_classes'] == [dict(name='lamp', weight=1, min_pixels=3)]
    labels = dataset[SampleKey(12, 0, 1)]['data_samples'].gt_sem_seg.data
    assert set(labels.unique().tolist()) <= {1, 2}
    pixels = class_statistics(dataset.dataset).pixels
    assert pixels.shape == (14, 3) and pixels[12:].tolist() == [[0, 300, 300]] * 2


def test_several_targets_have_margins_of_their_own(scenes, tmp_path):
    folders = [scenes, SceneFolder(tmp_path / 'others')]
    pipeline = [dict(type='LoadImage'), dict(type='PseudoMargins'), dict(type='PackUDAInputs')]
    parts = []
    for number, folder in enumerate(folders):
        folder.add('a', np.zeros((20, 30), np.uint8))
        margins = dict(size=(30, 20), top=2, bottom=0, left=0, right=0)
        metainfo = dict(classes=CLASSES, palette=PALETTE, **({'pseudo_margins': margins} if number else {}))
        parts.append(folder.config(labelled=False, metainfo=metainfo, pipeline=pipeline))
    dataset = SeededDataset(dict(type='ConcatDataset', datasets=parts))
    first, second = (dataset[SampleKey(index, 0, 1)]['data_samples'] for index in range(2))
    assert 'valid_pseudo_mask' not in first and (~second.valid_pseudo_mask.data[0]).sum() == 2 * 30


def test_data_sets_of_other_classes_are_not_joined(filled_scenes, others):
    second = others.config(metainfo=dict(classes=('ground', 'lamp', 'tree'), palette=PALETTE))
    with pytest.raises(
        ValueError,
        match=r"same classes in the same order, but UDADataset has \('ground', 'lamp', 'tree'\) and UDADataset has "
        r"\('ground', 'tree', 'lamp'\)",
    ):
        SeededDataset(dict(type='ConcatDataset', datasets=[filled_scenes.config(), second]))


@pytest.mark.parametrize('names', [['one'], []])
def test_each_of_the_joined_data_sets_has_a_name(filled_scenes, others, names):
    parts = [filled_scenes.config(), others.config()][: 2 * bool(names)]
    with pytest.raises(ValueError, match=rf'{len(parts)} data sets and {len(names)} names'):
        DATASETS.build(dict(type='ConcatDataset', datasets=parts, names=names))


def test_samples_of_joined_test_sets_say_where_they_come_from(filled_scenes, others):
    """Also those of mmseg, whose packing knows nothing of it."""
    theirs = mmseg_dataset(
        others, pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    )
    config = dict(type='ConcatDataset', datasets=[filled_scenes.config(test_mode=True), dict(theirs, test_mode=True)])
    dataset = DATASETS.build(config)
    assert [dataset[index]['data_samples'].dataset_name for index in (0, 11, 12)] == ['UDADataset'] * 2 + [
        'BaseSegDataset'
    ]
    named = DATASETS.build({**config, 'names': ['day', 'night']})
    assert [named[index]['data_samples'].dataset_name for index in (0, 12, 13)] == ['day', 'night', 'night']


def test_classes_that_one_of_the_sources_lacks_are_no_reason_to_warn(scenes, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(statistics, 'print_log', lambda text, **_: said.append(text))
    scenes.add('a', np.repeat(np.array([0, 1], np.uint8), 15)[None].repeat(20, 0))
    second = other_source(SceneFolder(tmp_path / 'others'))
    dataset = DATASETS.build(dict(type='ConcatDataset', datasets=[scenes.config(), second]))
    class_statistics(dataset)
    assert said and all(line.startswith('Counting') for line in said)
    class_statistics(dataset.datasets[0])
    assert 'no label has lamp (1 of 3 classes)' in said[-1]


def test_long_tail_images_of_joined_sources_have_the_pipeline_given(filled_scenes, others):
    source = dict(
        batch_size=2, dataset=dict(type='RepeatDataset', times=2, dataset=concatenated(filled_scenes, others))
    )
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels'), *CROP, dict(type='PackUDAInputs')]
    stream = domain_configs({'source': source}, ('source',), long_tail=dict(draws=1, pipeline=pipeline))['long_tail']
    parts = stream['dataset']['dataset']['dataset']['datasets']
    assert [part['pipeline'] for part in parts] == [pipeline] * 2
    dataset = DATASETS.build(stream['dataset'])
    assert dataset[next(iter(SeededInfiniteSampler(dataset, seed=0)))]['data_samples'].paste_class == 2


def test_a_wrapper_that_is_not_known_is_named(filled_scenes):
    with pytest.raises(
        TypeError,
        match='SeededDataset takes a data set, or a ConcatDataset or RepeatDataset of data sets, not a SeededDataset',
    ):
        SeededDataset(SeededDataset(filled_scenes.config()))


# ---------------------------------------------------------------- mmseg's own data sets


def test_rare_class_sampling_of_a_data_set_of_mmseg(filled_scenes):
    dataset = RareClassDataset(mmseg_dataset(filled_scenes), temperature=0.5, min_pixels=0)
    ours = RareClassDataset(filled_scenes.config(transforms=CROP), temperature=0.5, min_pixels=0)
    np.testing.assert_allclose(dataset.probabilities, ours.probabilities)
    for draw in islice(SeededInfiniteSampler(dataset, seed=0), 20):
        mine, theirs = dataset[draw], ours[draw]
        assert torch.equal(mine['inputs'], theirs['inputs'])
        assert torch.equal(mine['data_samples'].gt_sem_seg.data, theirs['data_samples'].gt_sem_seg.data)
        assert mine['data_samples'].rare_class == theirs['data_samples'].rare_class


def test_long_tail_images_of_a_data_set_of_mmseg(filled_scenes):
    dataset = LongTailDataset(mmseg_dataset(filled_scenes), classes=[dict(name='lamp', weight=1, min_pixels=3)])
    sample = dataset[next(iter(SeededInfiniteSampler(dataset, seed=0)))]['data_samples']
    assert sample.paste_class == 2 and (sample.gt_sem_seg.data == 2).sum() > 3


def test_long_tail_images_need_a_packing_that_keeps_their_class(filled_scenes):
    config = mmseg_dataset(filled_scenes, pipeline=[*MMSEG_PIPELINE[:-1], dict(type='PackSegInputs')])
    with pytest.raises(ValueError, match='PackSegInputs in the pipeline of BaseSegDataset drops the class.*PackUDAInp'):
        LongTailDataset(config, classes=[dict(name='lamp', weight=1, min_pixels=3)])
    assert len(SeededDataset(config)[SampleKey(0, 0, 1)]['data_samples'].gt_sem_seg.data.unique()) > 0


@pytest.mark.parametrize(
    'changes',
    [
        dict(reduce_zero_label=True, metainfo=dict(classes=CLASSES[1:], palette=PALETTE[1:])),
        # Classes chosen by name: their ids change, the others are ignored.
        dict(type='ThreeClasses', metainfo=dict(classes=('lamp', 'ground'))),
    ],
)
def test_ids_are_counted_as_mmseg_loads_them(filled_scenes, changes):
    if changes.get('type') == 'ThreeClasses':
        base = DATASETS.get('BaseSegDataset')
        DATASETS.register_module(
            'ThreeClasses',
            force=True,
            module=type('ThreeClasses', (base,), dict(METAINFO=dict(classes=CLASSES, palette=PALETTE))),
        )
    dataset = DATASETS.build(
        mmseg_dataset(
            filled_scenes,
            **{
                **changes,
                'pipeline': [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
            },
        )
    )
    statistics = class_statistics(dataset)
    number = len(dataset.metainfo['classes'])
    for index in range(len(dataset)):
        labels = dataset[index]['data_samples'].gt_sem_seg.data
        assert [int((labels == train_id).sum()) for train_id in range(number)] == statistics.pixels[index].tolist()
        assert int((labels == 255).sum()) == statistics.ignored[index]
    assert label_table(dataset)[255] == 255


def test_a_label_id_that_mmseg_would_train_on_as_no_class_is_named(filled_scenes):
    cv2.imwrite(str(filled_scenes.root / 'labels' / '00.png'), np.full((20, 30), 7, np.uint8))
    with pytest.raises(ValueError, match=r'00.png holds the label ids \[7\]'):
        RareClassDataset(mmseg_dataset(filled_scenes))


def test_a_data_set_of_mmseg_without_labels_is_named(filled_scenes):
    config = mmseg_dataset(
        filled_scenes,
        data_prefix=dict(img_path='images'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackUDAInputs')],
    )
    with pytest.raises(ValueError, match='12 samples of BaseSegDataset have no label'):
        RareClassDataset(config)


# ---------------------------------------------------------------- mmseg's own transforms


def test_load_annotations_on_our_data_sets_maps_the_ids(filled_scenes):
    """And PackSegInputs keeps what PackUDAInputs keeps."""
    theirs = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    config = filled_scenes.config(pipeline=theirs, label_table={0: 2, 1: 0, 2: 255, 255: 255})
    sample = SeededDataset(config)[SampleKey(0, 0, 1)]['data_samples']
    raw = cv2.imread(str(filled_scenes.root / 'labels' / '00.png'), cv2.IMREAD_UNCHANGED)
    expected = np.array([2, 0, 255], np.uint8)[np.where(raw == 255, 2, raw)]
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), expected)
    margins = dict(size=(30, 20), top=2, bottom=0, left=0, right=0)
    unlabelled = filled_scenes.config(
        labelled=False,
        metainfo=dict(classes=CLASSES, palette=PALETTE, pseudo_margins=margins),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PseudoMargins'), dict(type='PackSegInputs')],
    )
    mask = SeededDataset(unlabelled)[SampleKey(0, 0, 1)]['data_samples'].valid_pseudo_mask.data
    assert not mask[0, :2].any() and mask[0, 2:].all()


def test_a_zero_label_is_reduced_by_the_table_alone(filled_scenes):
    with pytest.raises(ValueError, match='reduce_zero_label=True.*label_table'):
        DATASETS.build(
            filled_scenes.config(
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', reduce_zero_label=True)]
            )
        )


def test_load_labels_on_a_data_set_of_mmseg_says_what_to_use(filled_scenes):
    config = mmseg_dataset(filled_scenes, pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')])
    with pytest.raises(ValueError, match='without a label table.*LoadAnnotations'):
        SeededDataset(config)[SampleKey(0, 0, 1)]
