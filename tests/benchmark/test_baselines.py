"""The slow ways give what the training step gives."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from udass.benchmark.baselines import (
    blend,
    broadcast_mask,
    ema_per_parameter,
    quadmix_per_image,
    reload_and_retry,
    select,
)
from udass.benchmark.batches import random_clip
from udass.benchmark.mix import MixingCase, benchmark_ema, benchmark_mixing
from udass.uda.ema import EMA
from udass.uda.mixing.classes import class_mask
from udass.uda.mixing.quadmix import confident_class_mask, quadmix

CPU = torch.device('cpu')
CLASSES = 5


def assert_same(fast, slow, paste):
    for name, tensors in zip(('ss', 'st', 'tss', 'tst'), slow, strict=True):
        for part, value in zip(('frames', 'labels', 'weights'), tensors, strict=True):
            expected = getattr(getattr(fast, name), part)
            assert value.shape == expected.shape and value.dtype == expected.dtype
            if paste is blend:
                torch.testing.assert_close(value, expected)
            else:
                assert torch.equal(value, expected), (name, part)


def test_a_mask_has_the_pixels_of_all_its_classes():
    labels = torch.tensor([[[0, 1, 2], [255, 2, 0]]])
    assert broadcast_mask(labels, torch.tensor([0, 2])).tolist() == [[[1, 0, 1], [0, 1, 1]]]


@pytest.mark.parametrize('paste', [blend, select])
@pytest.mark.parametrize('seed', range(4))
def test_quadmix_per_image_is_quadmix(paste, seed):
    generator = torch.Generator().manual_seed(seed)
    clips = [random_clip(3, (64, 96), CLASSES, generator, confidence) for confidence in (False, True, False, True)]
    # Any number of classes per image, none and all among them.
    chosen = [torch.rand(3, CLASSES, generator=generator) < share for share in (0.4, 0.6)]
    chosen[0][0], chosen[1][1] = False, True
    classes = [[image.nonzero()[:, 0] for image in part] for part in chosen]
    masks = class_mask(clips[2].labels, chosen[0]), confident_class_mask(clips[3], chosen[1], 0.7)
    assert 0 < masks[0].float().mean() < 1 and 0 < masks[1].float().mean() < 1
    assert_same(quadmix(*clips, *masks), quadmix_per_image(*clips, *classes, 0.7, paste), paste)


def test_the_case_that_is_measured_mixes_the_same_in_all_ways():
    case = MixingCase(2, (256, 256), CPU)
    fast = case.fast()
    for paste in (blend, select):
        assert_same(fast, case.slow(paste), paste)
    source, target = case.clips[:2]
    for mixture, under in ((fast.ss, source), (fast.tst, target)):
        assert not torch.equal(mixture.labels, under.labels)
    for source_classes, target_classes in zip(*case.classes, strict=True):
        drawn = {*source_classes.tolist(), *target_classes.tolist()}
        assert len(drawn) == 4, 'source and target paste different classes, two each'


def test_ema_per_parameter_is_the_update_of_the_teacher():
    student, teacher = torch.nn.Linear(7, 5), torch.nn.Linear(7, 5)
    other = copy.deepcopy(teacher)
    ema = EMA(alpha=0.9)
    ema.keep_teacher()
    for _ in range(3):
        ema.update(teacher, student)
        ema_per_parameter(other, student, 0.9)
    torch.testing.assert_close(dict(other.named_parameters()), dict(teacher.named_parameters()))
    expected = 0.9 * torch.tensor([1.0, 2.0]) + 0.1 * torch.tensor([3.0, 5.0])
    ours, theirs = (
        torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(value))]) for value in ([1.0, 2.0], [3.0, 5.0])
    )
    ema_per_parameter(ours, theirs, 0.9)
    torch.testing.assert_close(ours[0].data, expected)


@pytest.mark.parametrize('hit, tries, loads', [(1, 10, 1), (4, 10, 4), (None, 10, 11), (None, 0, 1), (9, 3, 4)])
def test_files_are_loaded_until_a_crop_shows_the_class(hit, tries, loads):
    loaded = []

    def load():
        loaded.append(len(loaded) + 1)
        label = torch.zeros(1, 8, 8, dtype=torch.long)
        # As many as are asked for are too few: a crop must exceed them.
        label[0, 0, : 5 if loaded[-1] == hit else 4] = 3
        return dict(number=loaded[-1], data_samples=SimpleNamespace(gt_sem_seg=PixelData(data=label)))

    sample, number = reload_and_retry(load, rare_class=3, min_pixels=4, tries=tries)
    assert number == len(loaded) == sample['number'] == loads


def assert_timings(result, names, repeats):
    assert list(result['times']) == ['udass', *names] and list(result['ratios']) == names
    for timing in result['times'].values():
        assert timing['repeats'] == repeats and 0 < timing['low'] <= timing['median'] <= timing['high']
    for ratio in result['ratios'].values():
        assert 0 < ratio['low'] <= ratio['median'] <= ratio['high']


def test_mixing_is_measured_beside_both_slow_ways():
    result = benchmark_mixing(2, (64, 64), 3, 1, CPU)
    assert (result['batch'], result['size']) == (2, [64, 64])
    assert_timings(result, ['multiply-add per image and class', 'torch.where per image'], 3)


def test_the_update_of_the_teacher_is_measured_beside_the_slow_way():
    init_default_scope('mmseg')
    network = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3, bias=False))
    before = copy.deepcopy(network.state_dict())
    result = benchmark_ema(network, 2, 1, CPU)
    assert result['parameters'] == 7 * 5 + 5 + 5 * 3
    assert_timings(result, ['a * t + (1 - a) * s per parameter'], 2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
