"""Random streams: reproducible, resumable, uncorrelated, independent of the workers."""

import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from udass.datasets import SampleKey, SeededDataset, SeededInfiniteSampler, isolated_randomness
from udass.datasets.sampling import streams

AUGMENTATIONS = (dict(type='RareClassCrop', crop_size=(8, 10)), dict(type='RandomFlip', prob=0.5))


def take(sampler, count):
    return list(islice(sampler, count))


def indices(sampler, count):
    return [draw.index for draw in take(sampler, count)]


def test_every_pass_is_another_permutation():
    drawn = indices(SeededInfiniteSampler(range(50), seed=3), 150)
    passes = [drawn[0:50], drawn[50:100], drawn[100:150]]
    assert all(sorted(one) == list(range(50)) for one in passes)
    assert passes[0] != passes[1] != passes[2] != passes[0]


def test_without_shuffling_the_order_is_kept():
    assert indices(SeededInfiniteSampler(range(3), seed=0, shuffle=False), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_draws_are_numbered_and_repeatable():
    first, second = (take(SeededInfiniteSampler(range(7), seed=5), 20) for _ in range(2))
    assert first == second
    assert [draw.number for draw in first] == list(range(20))


@pytest.mark.parametrize('skipped', [0, 1, 6, 7, 8, 23])
def test_skip_equals_continuing(skipped):
    uninterrupted = take(SeededInfiniteSampler(range(7), seed=5), 40)
    resumed = SeededInfiniteSampler(range(7), seed=5)
    resumed.skip(skipped)
    assert take(resumed, 40 - skipped) == uninterrupted[skipped:]


def test_skip_is_absolute():
    sampler = SeededInfiniteSampler(range(7), seed=5)
    uninterrupted = take(sampler, 12)
    sampler.skip(4)
    sampler.skip(9)
    assert take(sampler, 3) == uninterrupted[9:]


def test_ranks_share_one_order_but_no_randomness(monkeypatch):
    samplers = []
    for rank in range(3):
        monkeypatch.setattr(streams, 'get_dist_info', lambda rank=rank: (rank, 3))
        samplers.append(SeededInfiniteSampler(range(9), seed=1))
    drawn = [take(sampler, 3) for sampler in samplers]
    assert sorted(draw.index for of_rank in drawn for draw in of_rank) == list(range(9))
    assert len({of_rank[0].stream_seed for of_rank in drawn}) == 3
    resumed = SeededInfiniteSampler(range(9), seed=1)  # still rank 2 of 3
    resumed.skip(2)
    assert take(resumed, 1) == drawn[2][2:]


def test_bad_sampler_arguments():
    with pytest.raises(ValueError, match="dataset of the stream 'source' is empty"):
        SeededInfiniteSampler([], seed=0)
    with pytest.raises(ValueError, match='non-negative'):
        SeededInfiniteSampler(range(3), seed=-1)


def test_generators_of_a_draw():
    draw, following = SampleKey(0, 6, 123), SampleKey(0, 7, 123)
    assert draw.generator().random() == draw.generator().random() != following.generator().random()
    assert draw.generator().random() != draw.group_generator(1).random()
    assert draw.pipeline_seed() != following.pipeline_seed()


def test_group_generator_is_shared_by_consecutive_draws():
    values = [SampleKey(0, number, 9).group_generator(3).random() for number in range(9)]
    assert [values.index(value) for value in values] == [0, 0, 0, 3, 3, 3, 6, 6, 6]


def draw_from_all_generators():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_isolated_randomness_seeds_and_restores():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw_from_all_generators(), draw_from_all_generators()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = draw_from_all_generators()
    inside = []
    for _ in range(2):
        with isolated_randomness(7):
            inside.append(draw_from_all_generators())
    with pytest.raises(RuntimeError), isolated_randomness(8):
        draw_from_all_generators()
        raise RuntimeError
    assert (before, draw_from_all_generators()) == expected
    assert inside[0] == inside[1]
    assert not set(inside[0]) & {*expected[0], *expected[1]}


def samples(config, *, workers, stream='source', seed=0, batches=4, skip=0):
    """(images, labels, paths) of the first batches of a loader."""
    dataset = SeededDataset(config)
    sampler = SeededInfiniteSampler(dataset, seed=seed, stream=stream)
    sampler.skip(skip)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate)
    drawn = list(islice(loader, batches))
    images = torch.stack([image for batch in drawn for image in batch['inputs']])
    data_samples = [sample for batch in drawn for sample in batch['data_samples']]
    return (
        images,
        torch.stack([sample.gt_sem_seg.data for sample in data_samples]),
        [sample.img_path for sample in data_samples],
    )


def test_workers_do_not_change_the_samples(filled_scenes):
    config = filled_scenes.config(transforms=AUGMENTATIONS)
    here, there = (samples(config, workers=workers) for workers in (0, 2))
    assert torch.equal(here[0], there[0]) and torch.equal(here[1], there[1]) and here[2] == there[2]


def test_a_skipped_loader_continues_with_the_same_samples(filled_scenes):
    config = filled_scenes.config(transforms=AUGMENTATIONS)
    whole, rest = samples(config, workers=0), samples(config, workers=0, batches=2, skip=6)
    assert torch.equal(whole[0][6:], rest[0]) and whole[2][6:] == rest[2]


def test_loading_leaves_the_trainers_randomness_alone(filled_scenes):
    dataset = SeededDataset(filled_scenes.config(transforms=AUGMENTATIONS))
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    expected = draw_from_all_generators()
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    dataset[SampleKey(0, 0, 1)]
    assert draw_from_all_generators() == expected


def agreement(first, second):
    return np.mean([a == b for a, b in zip(first, second, strict=True)])


def test_domains_of_one_seed_and_length_are_not_correlated(filled_scenes):
    length, count = 100, 400
    source, target = (
        indices(SeededInfiniteSampler(range(length), seed=0, stream=name), count) for name in ('source', 'target')
    )
    assert agreement(source, target) < 0.04  # 0.01 expected
    assert abs(np.corrcoef(source, target)[0, 1]) < 0.2  # four standard deviations

    # The pixels of these images are their coordinates, so that the first one tells the crop (13 x 21 places).
    config = filled_scenes.config(transforms=AUGMENTATIONS[:1])
    source, target = (
        samples(config, workers=0, stream=name, batches=50)[0][:, :2, 0, 0].numpy() for name in ('source', 'target')
    )
    assert agreement(source[:, 0], target[:, 0]) < 0.25  # 1/13 expected, 1 if they shared a seed
    assert abs(np.corrcoef(source[:, 1], target[:, 1])[0, 1]) < 0.33
    assert len({tuple(place) for place in source}) > 60  # draws of one stream differ, too


def test_a_plain_index_is_refused(filled_scenes):
    with pytest.raises(TypeError, match=r'indexed with a SampleKey, got int 3: give its dataloader the sampler dict'):
        SeededDataset(filled_scenes.config())[3]


def test_a_broken_file_raises_instead_of_being_replaced(filled_scenes):
    dataset = SeededDataset(filled_scenes.config())
    (filled_scenes.root / 'images' / '04.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'04\.png .* cannot be decoded'):
        dataset[SampleKey(4, 0, 1)]


def test_a_pipeline_that_returns_nothing_raises(filled_scenes):
    dataset = SeededDataset(filled_scenes.config(pipeline=[lambda results: None]))
    with pytest.raises(ValueError, match=r'pipeline of UDADataset returned None for .*04\.png'):
        dataset[SampleKey(4, 0, 1)]
