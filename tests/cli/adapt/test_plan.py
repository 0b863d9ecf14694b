"""The configs that are written: they load, and are those that are written by hand where those exist."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from udass.cli.adapt.folders import LabelledFolder, Target
from udass.cli.adapt.labels import Classes, colour_map
from udass.cli.adapt.plan import METHODS, NETWORKS, Data, Step, config_text, crop_of, plan_text, rare_classes
from udass.cli.arguments import ADAPT_METHODS, ADAPT_NETWORKS
from udass.engine.config import load_config

CONFIGS = Path(__file__).parents[3] / 'configs'


def data(size=(384, 192), number=19, test=True, target=None):
    """Data of classes of which the last two are rare; nothing of it exists."""
    folder = LabelledFolder('/data/source', 'images', 'labels', '.jpg', '.png', ('1', '2'))
    names = tuple(f'class_{index}' for index in range(number))
    table = {255: 255, **{index: index for index in range(number)}}
    pixels = np.full((2, number), 1000)
    pixels[:, -2:] = [[100, 0], [0, 60]]
    target = target or Target('/data/target', None, ('/data/target/1.jpg',))
    return Data(
        folder,
        target,
        folder if test else None,
        Classes(names, colour_map(number), table, False, ''),
        pixels,
        size,
        size,
    )


def written(tmp_path, network='resnet10t', method='quadmix', iterations=None, **about):
    """The config, loaded."""
    chosen = NETWORKS[network]
    text = config_text(
        data(**about), chosen, method, iterations or chosen.iterations, 3, tmp_path / 'cache', 'udass adapt a b'
    )
    assert len(text.splitlines()) <= 60
    (tmp_path / 'adapted.py').write_text(text)
    return load_config(tmp_path / 'adapted.py')


@pytest.mark.parametrize(
    ('network', 'method'), [*((name, 'quadmix') for name in NETWORKS), *(('resnet10t', name) for name in METHODS)]
)
def test_every_choice_is_a_short_config_that_loads(network, method, tmp_path):
    config = written(tmp_path, network, method, test=False, size=(1914, 1052))
    assert config.model.student.decode_head.num_classes == 19 and config.randomness.seed == 3
    assert config.train_cfg.max_iters == config.param_scheduler[1].end == NETWORKS[network].iterations
    assert config.model.get('feature_distance') is None and config.val_dataloader is None
    assert ('long_tail' in config.train_cfg) == (method == 'quadmix')


def test_the_choices_of_the_command_are_those_of_the_plan():
    assert ADAPT_METHODS == METHODS and tuple(NETWORKS) == ADAPT_NETWORKS


def transforms(config):
    """The kinds of the transforms of all loaders, and the size of crops."""
    loaders = [config.train_dataloader.source, config.train_dataloader.target, config.val_dataloader]
    crops = [step.crop_size for loader in loaders for step in loader.dataset.pipeline if 'crop_size' in step]
    return [[step.type for step in loader.dataset.pipeline] for loader in loaders], crops


@pytest.mark.parametrize('method', ['quadmix', 'source_only'])
def test_for_the_streets_it_is_the_config_written_by_hand(method, tmp_path):
    config, by_hand = written(tmp_path, method=method), load_config(f'streets_{method}')
    for part in ('source_sampling', 'long_tail'):
        config.train_cfg.get(part, {}).pop('cache_folder', None)
    for key in ('model', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'val_evaluator'):
        assert config[key] == by_hand[key], key
    assert transforms(config) == transforms(by_hand)


def test_for_camvid_it_is_the_config_written_by_hand_at_the_rate_of_its_schedule(tmp_path):
    config = written(tmp_path, 'efficientnet_lite0', 'source_only', size=(480, 360), number=11)
    by_hand = load_config('camvid_day2dusk_source_only')
    by_hand.optim_wrapper = load_config(CONFIGS / '_base_' / 'schedules' / 'small_finetune.py').optim_wrapper
    for key in ('model', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'val_evaluator'):
        assert config[key] == by_hand[key], key
    assert (
        transforms(config)[1] == transforms(by_hand)[1]
        and config.resize.ratio_range == by_hand.random_resize.ratio_range
    )


@pytest.mark.parametrize(
    ('network', 'size', 'crop'),
    [
        ('resnet10t', (384, 192), (192, 128)),
        ('efficientnet_lite0', (480, 360), (320, 240)),
        # Portrait; smaller than any crop; Cityscapes, with and without a large GPU.
        ('resnet10t', (360, 480), (240, 320)),
        ('resnet10t', (96, 64), (96, 64)),
        ('resnet10t', (2048, 1024), (360, 240)),
        ('daformer_b5', (2048, 1024), (512, 512)),
    ],
)
def test_crops_follow_from_network_and_images(network, size, crop):
    assert crop_of(NETWORKS[network], size) == crop


def test_rare_classes_have_few_pixels_but_enough_in_an_image():
    assert rare_classes(data()) == ['class_17', 'class_18']
    few = data()
    few.pixels[:, -1] = 50
    assert rare_classes(few) == ['class_17']


def test_without_rare_classes_nothing_is_pasted(tmp_path):
    assert written(tmp_path).train_cfg.long_tail is not None
    equal = data(number=2)
    equal.pixels[:] = 1000
    chosen = NETWORKS['resnet10t']
    (tmp_path / 'equal.py').write_text(config_text(equal, chosen, 'quadmix', 450, 0, tmp_path, 'udass adapt a b'))
    config = load_config(tmp_path / 'equal.py')
    assert config.train_cfg.long_tail is None and 'rare_classes' not in config.source.metainfo


def test_short_and_long_runs(tmp_path):
    config = written(tmp_path, iterations=10)
    assert config.param_scheduler[0].end == 2 and config.model.ema.alpha == 0.99 and config.model.masking is None
    config = written(tmp_path, iterations=10_000)
    assert config.model.ema.alpha == 0.999 and config.model.mixing.start_iter == 1500
    assert config.model.masking.block_size == 8


def test_ids_that_are_no_class_and_video_are_in_the_config(tmp_path):
    video = Target('/data/drive.mp4', 4, ('/data/drive.mp4#000004',))
    config = written(tmp_path, target=video)
    target = config.train_dataloader.target.dataset
    assert (target.type, target.path, target.every) == ('VideoFile', '/data/drive.mp4', 4)
    labels = data(number=2)
    labels.classes.table.update({0: 255, 1: 0, 2: 1})
    text = config_text(labels, NETWORKS['resnet10t'], 'dacs', 450, 0, tmp_path, 'udass adapt a b')
    (tmp_path / 'table.py').write_text(text)
    assert load_config(tmp_path / 'table.py').source.label_table == {0: 255, 1: 0, 2: 1, 255: 255}


def test_the_plan_says_what_is_trained_on_which_frames():
    def plan(*names, **about):
        steps = {name: Step(1.0, 0) for name in names}
        return plan_text(data(**about), 'resnet10t', None, 'mic', 30, steps, Path('out'))

    video = Target('/data/drive.mp4', 4, tuple(f'/data/drive.mp4#{number:06d}' for number in (4, 8)))
    both = plan('source_only', 'adapted', target=video)
    assert 'training  30 iterations each of source only and mic\n' in both
    assert 'target    /data/drive.mp4: 2 frames without labels, one of 4, most of 384x192\n' in both
    every_frame = replace(video, every=1)
    assert 'drive.mp4: 2 frames without labels, most of' in plan('adapted', target=every_frame)
    assert 'training  30 iterations of source only\n' in plan('source_only')
    assert 'WARNING' not in plan('adapted')
    turned = plan_text(replace(data(), rotated=3), 'resnet10t', None, 'mic', 30, {'adapted': Step(1, 0)}, Path('out'))
    assert 'WARNING   3 images have an orientation tag (EXIF)' in turned
