"""Made-up batches."""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.uda.small import CLASSES, METHODS, build
from udass.benchmark.batches import random_batch, random_clip, random_images, random_labels
from udass.uda import VideoAdapter


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def samples_of(data):
    return [
        (domain, inputs, sample)
        for domain, batch in data.items()
        for inputs, sample in zip(batch['inputs'], batch['data_samples'], strict=True)
    ]


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_on_random_batches(method):
    model, optimizer = build(*METHODS[method])
    data = [random_batch(model, 2, (64, 64), seed, long_tail_draws=2, rare_class=3) for seed in range(2)]
    logs = [model.train_step(batches, optimizer) for batches in data]
    assert all(torch.isfinite(value) for value in logs[-1].values())
    assert ('target' in data[0]) == model.needs_target
    assert ('long_tail' in data[0]) == ('quadmix' in method)
    assert ('tst' in {key.split('.')[0] for key in logs[-1]}) == ('quadmix' in method)


@pytest.mark.parametrize('method', ['source_only', 'dacs', 'quadmix', 'quadmix_video'])
def test_samples_are_shaped_like_those_of_the_loaders(method):
    model, _ = build(*METHODS[method])
    data = random_batch(model, 3, (64, 96), seed=0, long_tail_draws=2, rare_class=3)
    frames = dict(source=2, target=4, long_tail=2) if isinstance(model, VideoAdapter) else {}
    for domain, inputs, sample in samples_of(data):
        number = frames.get(domain, 1)
        assert inputs.shape == ((number, 3, 64, 96) if number > 1 else (3, 64, 96)) and inputs.dtype == torch.uint8
        assert ('gt_sem_seg' in sample) == (domain != 'target')
        if domain != 'target':
            labels = sample.gt_sem_seg.data
            assert labels.shape == (number, 64, 96) and labels.min() >= 0 and labels.max() < len(CLASSES)
        if number > 1:
            assert sample.flow.shape == (number - 1, 2, 64, 96) and sample.flow.abs().max() <= 3
        assert ('past_flow' in sample) == (number == 4)
        assert sample.metainfo.get('paste_class') == (3 if domain == 'long_tail' else None)
    numbers = {domain: len(batch['inputs']) for domain, batch in data.items()}
    mixes = getattr(model.mixing, 'number_of_mixes', 0)
    expected = dict(
        source=3, **({'target': 3} if model.needs_target else {}), **({'long_tail': 2 * mixes * 3} if mixes else {})
    )
    assert numbers == expected


def test_no_long_tail_without_draws():
    model, _ = build(*METHODS['quadmix'])
    assert set(random_batch(model, 1, (64, 64), seed=0)) == {'source', 'target'}


@pytest.mark.parametrize('method', ['quadmix', 'quadmix_video'])
def test_a_seed_is_all_that_decides(method):
    model, _ = build(*METHODS[method])
    first, again, other = (samples_of(random_batch(model, 2, (64, 64), seed, 1)) for seed in (5, 5, 6))
    for (_, inputs, sample), (_, same, same_sample) in zip(first, again, strict=True):
        assert torch.equal(inputs, same) and set(sample.keys()) == set(same_sample.keys())
        assert all(torch.equal(sample.get(key).data, same_sample.get(key).data) for key in sample.keys())  # noqa: SIM118
    for (_, inputs, _), (_, differs, _) in zip(first, other, strict=True):
        assert not torch.equal(inputs, differs)


def test_labels_are_regions_of_any_class_cut_to_size():
    labels = random_labels(40, (40, 70), 6, torch.Generator().manual_seed(0))
    assert labels.shape == (40, 40, 70) and labels.dtype == torch.long and labels.unique().tolist() == list(range(6))
    assert (labels[:, :32, :32] == labels[:, :1, :1]).all() and (labels[:, 32:, 64:] == labels[:, -1:, -1:]).all()


def test_pictures_use_all_values():
    pictures = random_images(2, (64, 96), torch.Generator().manual_seed(0))
    assert pictures.shape == (2, 3, 64, 96) and pictures.unique().numel() == 256


def test_a_clip_has_a_confidence_where_it_is_asked_for():
    clip = random_clip(2, (64, 96), 6, torch.Generator().manual_seed(0), confidence=True)
    assert clip.frames.shape == (2, 1, 3, 64, 96) and clip.labels.shape == clip.weights.shape == (2, 1, 64, 96)
    assert clip.confidence.shape == clip.labels.shape and not torch.equal(clip.confidence, clip.weights)
    assert clip.weights.min() >= 0 and clip.confidence.max() < 1
    assert random_clip(2, (64, 96), 6, torch.Generator(), confidence=False).confidence is None
