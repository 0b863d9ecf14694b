"""Long-tail images: shared draws, weights, what each image shows."""

from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from udass.datasets import LongTailDataset, SeededInfiniteSampler

CROP = (dict(type='RareClassCrop', crop_size=(16, 24)),)
TREE, LAMP = dict(name='tree', weight=3, min_pixels=10), dict(name='lamp', weight=1, min_pixels=3)


def get_data_info(dataset, count, seed=0):
    return [
        dataset.get_data_info(draw)
        for draw in islice(SeededInfiniteSampler(dataset, seed=seed, stream='long_tail'), count)
    ]


def test_groups_share_a_class_but_not_the_image(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP], images_per_draw=4)
    infos = get_data_info(dataset, 400)
    groups = [infos[start : start + 4] for start in range(0, 400, 4)]
    assert all(len({info['paste_class'] for info in group}) == 1 for group in groups)
    assert {group[0]['paste_class'] for group in groups} == {1, 2}
    assert np.mean([len({info['img_path'] for info in group}) > 1 for group in groups]) > 0.9


def test_classes_are_drawn_by_weight(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP])
    drawn = [info['paste_class'] for info in get_data_info(dataset, 2000)]
    assert drawn.count(1) / 2000 == pytest.approx(0.75, abs=0.04)


def test_an_iteration_draws_without_replacement(filled_scenes):
    # The list is tree, tree, tree, lamp: two of it are the lamp twice never, the tree twice in 3/4 * 2/3 of all cases.
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP], draws=2, images_per_draw=3)
    drawn = [info['paste_class'] for info in get_data_info(dataset, 6000)]
    pairs = [(drawn[start], drawn[start + 3]) for start in range(0, 6000, 6)]
    assert all(len(set(drawn[start : start + 3])) == 1 for start in range(0, 6000, 3))
    assert pairs.count((2, 2)) == 0 and pairs.count((1, 1)) / 1000 == pytest.approx(0.5, abs=0.05)
    assert pairs.count((1, 2)) / 1000 == pytest.approx(0.25, abs=0.05)


def test_more_draws_than_entries_start_the_list_again(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[dict(TREE, weight=1.0), LAMP], draws=3)
    drawn = [info['paste_class'] for info in get_data_info(dataset, 60)]
    assert all(
        set(drawn[start : start + 2]) == {1, 2} and drawn[start + 2] == drawn[start] for start in range(0, 60, 3)
    )


def test_draws_depend_on_the_position_alone(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP], draws=2, images_per_draw=2)
    sampler = SeededInfiniteSampler(dataset, seed=0, stream='long_tail')
    sampler.skip(33)
    resumed = [dataset.get_data_info(draw) for draw in islice(sampler, 20)]
    paths = [(info['paste_class'], info['img_path']) for info in get_data_info(dataset, 53)]
    assert [(info['paste_class'], info['img_path']) for info in resumed] == paths[33:]
    assert paths != [(info['paste_class'], info['img_path']) for info in get_data_info(dataset, 53, seed=1)]


def test_files_have_enough_of_the_class(filled_scenes):
    infos = get_data_info(LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP]), 300)
    files = {
        train_id: {info['img_path'][-6:-4] for info in infos if info['paste_class'] == train_id} for train_id in (1, 2)
    }
    assert files == {1: {'00', '02', '04', '06', '08', '10'}, 2: {'00', '01', '02'}}


def test_the_list_of_the_data_set_is_the_default(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP))
    assert {info['paste_class'] for info in get_data_info(dataset, 20)} == {2}


def test_samples_hold_the_class_and_name_it(filled_scenes):
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, LAMP], images_per_draw=2)
    loader = DataLoader(
        dataset, batch_size=4, sampler=SeededInfiniteSampler(dataset, seed=1), collate_fn=pseudo_collate
    )
    for batch in islice(loader, 5):
        classes = [sample.paste_class for sample in batch['data_samples']]
        assert classes[0] == classes[1] and classes[2] == classes[3]
        assert all((sample.gt_sem_seg.data == sample.paste_class).sum() > 3 for sample in batch['data_samples'])


def test_a_class_without_files_is_left_out(filled_scenes):
    much = dict(LAMP, min_pixels=100, weight=1000)
    dataset = LongTailDataset(filled_scenes.config(transforms=CROP), classes=[TREE, much])
    assert {info['paste_class'] for info in get_data_info(dataset, 20)} == {1}


def test_no_class_has_files(filled_scenes):
    with pytest.raises(ValueError, match=r"no label in .*labels has enough pixels of any of the rare .* \['lamp'\]"):
        LongTailDataset(filled_scenes.config(transforms=CROP), classes=[dict(LAMP, min_pixels=100)])


def test_a_data_set_without_the_list_says_so(filled_scenes):
    config = filled_scenes.config(transforms=CROP, metainfo=dict(classes=('ground', 'tree', 'lamp')))
    with pytest.raises(ValueError, match=r'LongTailDataset: the metainfo of UDADataset has no rare_classes\. Add them'):
        LongTailDataset(config)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(classes=[dict(LAMP, name='sign')]), r"LongTailDataset: rare_classes names \['sign'\]"),
        (dict(images_per_draw=0), 'draws and images_per_draw must be at least 1, got 1, 0'),
        (dict(draws=0), 'draws and images_per_draw must be at least 1, got 0, 1'),
        (dict(classes=[dict(LAMP, weight=1.5)]), 'integer weight of 1 or more'),
    ],
)
def test_bad_arguments(filled_scenes, arguments, message):
    with pytest.raises(ValueError, match=message):
        LongTailDataset(filled_scenes.config(transforms=CROP), **arguments)


def test_a_pipeline_that_would_not_search_is_refused(filled_scenes):
    config = filled_scenes.config(transforms=[dict(type='RandomCrop', crop_size=(8, 8))])
    with pytest.raises(ValueError, match='LongTailDataset: the pipeline .* use RareClassCrop'):
        LongTailDataset(config)
