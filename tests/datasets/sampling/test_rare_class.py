"""Rare-class sampling: probabilities, what is drawn, how often a file is read."""

from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from udass.datasets import RareClassDataset, SampleKey, SeededDataset, SeededInfiniteSampler, class_probabilities
from udass.datasets.transforms import loading

CROP = (dict(type='RareClassCrop', crop_size=(8, 8)),)


def name(path):
    return path[-6:-4]


def test_probabilities_by_hand():
    # exp(0.5 / 0.5) : exp(0.7 / 0.5) : exp(0.8 / 0.5)
    expected = np.exp([1.0, 1.4, 1.6])
    np.testing.assert_allclose(class_probabilities([0.5, 0.3, 0.2], 0.5), expected / expected.sum())


def test_a_cold_softmax_does_not_overflow():
    np.testing.assert_allclose(class_probabilities([0.9, 0.1, 0.0], 1e-6), [0, 0, 1])


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match='temperature of rare-class sampling must be larger than 0, got 0'):
        class_probabilities([0.5, 0.5], 0)


def test_classes_are_drawn_as_often_as_their_probabilities_say(filled_scenes):
    dataset = RareClassDataset(filled_scenes.config(transforms=CROP), temperature=0.5, min_pixels=0)
    frequencies = np.array([6732, 96, 12]) / 6840
    np.testing.assert_allclose(dataset.probabilities, class_probabilities(frequencies, 0.5))
    infos = [dataset.get_data_info(draw) for draw in islice(SeededInfiniteSampler(dataset, seed=0), 3000)]
    drawn = np.bincount([info['rare_class'] for info in infos], minlength=3) / 3000
    np.testing.assert_allclose(drawn, dataset.probabilities, atol=0.035)  # four standard deviations
    lamps = [name(info['img_path']) for info in infos if info['rare_class'] == 2]
    assert set(lamps) == {'00', '01', '02'}
    np.testing.assert_allclose([lamps.count(file) / len(lamps) for file in ('00', '01', '02')], 1 / 3, atol=0.06)


def test_files_need_more_than_the_threshold(filled_scenes):
    config = filled_scenes.config(transforms=CROP)
    # A tree has 16 pixels, a lamp 4: neither exceeds 16, and the ground is all that is left.
    dataset = RareClassDataset(config, temperature=0.5, min_pixels=16)
    assert dataset.probabilities.tolist() == [1, 0, 0]
    dataset = RareClassDataset(config, temperature=0.5, min_pixels=15)
    full = class_probabilities(np.array([6732, 96, 12]) / 6840, 0.5)
    np.testing.assert_allclose(dataset.probabilities, [full[0] / (full[0] + full[1]), full[1] / (full[0] + full[1]), 0])
    assert {dataset.get_data_info(SampleKey(0, number, 1))['rare_class'] for number in range(50)} == {0, 1}


def test_thresholds_scale_with_the_area(filled_scenes):
    # 1000 pixels of a 120 x 100 image are 50 of these 30 x 20 ones.
    dataset = RareClassDataset(
        filled_scenes.config(transforms=CROP),
        temperature=0.5,
        min_pixels=1000,
        reference_size=(120, 100),
        crop_fraction=0.5,
    )
    assert dataset.get_data_info(SampleKey(0, 0, 1))['rare_class_min_pixels'] == pytest.approx(25)
    assert dataset.probabilities.tolist() == [1, 0, 0]


def test_no_class_with_enough_pixels(filled_scenes):
    with pytest.raises(
        ValueError,
        match=r'no label in .*labels has more than 600 pixels of any class: choose a '
        'smaller min_pixels, or give reference_size',
    ):
        RareClassDataset(filled_scenes.config(transforms=CROP), min_pixels=600)


def test_only_classes_of_vanishing_probability(filled_scenes):
    with pytest.raises(ValueError, match='their probability is 0: choose a higher temperature'):
        RareClassDataset(filled_scenes.config(transforms=CROP), temperature=1e-4, min_pixels=16)


def test_samples_hold_the_drawn_class(filled_scenes):
    transforms = (dict(type='RareClassCrop', crop_size=(16, 24)), dict(type='RandomFlip', prob=0.5))
    dataset = RareClassDataset(
        filled_scenes.config(transforms=transforms), temperature=0.5, min_pixels=3, crop_fraction=0.5
    )
    found = []
    for draw in islice(SeededInfiniteSampler(dataset, seed=0), 60):
        sample = dataset[draw]['data_samples']
        assert sample.gt_sem_seg.data.shape == (1, 16, 24)
        found.append((sample.gt_sem_seg.data == sample.rare_class).sum().item() > 1.5)
    assert np.mean(found) > 0.95


def test_each_image_is_decoded_once_per_sample(filled_scenes, monkeypatch):
    read = []
    for function in ('read_image', 'read_label_ids'):
        original = getattr(loading, function)
        monkeypatch.setattr(
            loading,
            function,
            lambda path, *more, original=original, **named: read.append(path) or original(path, *more, **named),
        )
    # No crop of 4 x 4 has 30 pixels of anything, so that every search goes to its end.
    transforms = (dict(type='RareClassCrop', crop_size=(4, 4), cat_max_ratio=0.75),)
    dataset = RareClassDataset(
        filled_scenes.config(transforms=transforms), temperature=0.5, min_pixels=3, crop_fraction=10
    )
    draws = list(islice(SeededInfiniteSampler(dataset, seed=0), 10))
    read.clear()
    for draw in draws:
        dataset[draw]
    assert len(read) == 20
    assert [path.split('/')[-2] for path in read] == ['images', 'labels'] * 10


def test_equal_draws_give_equal_samples(filled_scenes):
    config = filled_scenes.config(transforms=CROP)
    first, second = (RareClassDataset(config, temperature=0.5, min_pixels=3) for _ in range(2))
    for number in range(5):
        draw = SampleKey(number, number, 77)
        one, other = first[draw], second[draw]
        assert (one['inputs'] == other['inputs']).all()
        assert one['data_samples'].rare_class == other['data_samples'].rare_class


def test_a_pipeline_that_would_not_search_is_refused(filled_scenes):
    config = filled_scenes.config(transforms=[dict(type='RandomCrop', crop_size=(8, 8))])
    with pytest.raises(ValueError, match='crops with RandomCrop, which does not look for the drawn class: use'):
        RareClassDataset(config)
    assert len(SeededDataset(config)) == 12


class NoSegmentation(BaseDataset):
    """A data set of mmengine whose samples have no label per pixel."""

    def load_data_list(self):
        return [dict(img_path='a.png')]


def test_it_needs_labels_of_classes(filled_scenes):
    with pytest.raises(ValueError, match='without labels'):
        RareClassDataset(filled_scenes.config(labelled=False))
    with pytest.raises(TypeError, match='RareClassDataset needs a data set with labels of classes .*NoSegmentation'):
        RareClassDataset(NoSegmentation())


def test_camvid_statistics(camvid_root, tmp_path):
    config = dict(type='CamVidDataset', data_root=camvid_root, split='train', exclude_sequence='0001TP', pipeline=[])
    dataset = RareClassDataset(config, temperature=0.1, min_pixels=300, cache_folder=str(tmp_path))
    classes = dataset.metainfo['classes']
    order = [classes[i] for i in np.argsort(dataset.probabilities)]
    assert order[0] == 'road' and set(order[-3:]) <= {'bicyclist', 'pedestrian', 'pole', 'sign', 'fence'}
    np.testing.assert_allclose(dataset.probabilities.sum(), 1)
