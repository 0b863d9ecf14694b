"""The pure functions of the image step against what the reference implementations compute."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference.golden import Golden, assert_close
from udass.datasets import class_probabilities
from udass.uda import EMA, BlockMasking, ConfidencePseudoLabels
from udass.uda.clip import Clip
from udass.uda.feature_distance import class_cells, feature_distance
from udass.uda.mixing.classes import class_mask
from udass.uda.mixing.classmix import classmix
from udass.uda.mixing.quadmix import quadmix
from udass.uda.photometric import gaussian_blur, torchvision_color

SIZE = (64, 96)


@pytest.fixture
def golden(golden_dir):
    return Golden(golden_dir)


@pytest.fixture
def expected(golden):
    return golden.load('image_functions')


def clip(images, labels, weights=None):
    """A clip of one frame from images (N, 3, H, W), labels and weights (N, H, W)."""
    weights = torch.ones(labels.shape) if weights is None else weights
    return Clip(images[:, None], labels[:, None], weights[:, None])


def chosen_from_ids(ids, num_classes):
    """(N, C) bool from class ids per sample; ids beyond the classes are padding."""
    chosen = torch.zeros(len(ids), num_classes, dtype=torch.bool)
    for row, row_ids in zip(chosen, ids, strict=True):
        row[[int(i) for i in row_ids if 0 <= i < num_classes]] = True
    return chosen


def trusted_rows(logits, top, bottom):
    """(N, 1, H, W): 0 in the outermost rows."""
    valid = torch.ones_like(logits[:, :1])
    valid[..., : int(top), :] = 0
    valid[..., valid.shape[2] - int(bottom) :, :] = 0
    return valid


def test_feature_distance(expected):
    labels = torch.from_numpy(expected['fd/gt'])
    features, imagenet_features = (torch.from_numpy(expected[f'fd/{name}_feat']) for name in ('student', 'imnet'))
    size, min_ratio = tuple(features.shape[-2:]), float(expected['fd/min_ratio'])
    classes = expected['fd/classes'].tolist()
    cells = class_cells(labels, classes, size, min_ratio)
    assert torch.equal(cells, torch.from_numpy(expected['fd/mask']))
    assert_close(feature_distance(features, imagenet_features, cells), expected['fd/distance'])
    for train_id in range(19):
        of_class = class_cells(labels, [train_id], size, min_ratio)
        assert torch.equal(of_class, torch.from_numpy(expected['fd/label_small']) == train_id)


def test_pseudo_labels(expected):
    logits = torch.from_numpy(expected['pseudo/logits'])
    valid = trusted_rows(logits, expected['pseudo/ignore_top'], expected['pseudo/ignore_bottom'])
    label = ConfidencePseudoLabels(threshold=float(expected['pseudo/threshold']))(logits, valid)
    assert_close(label.labels, expected['pseudo/label'])
    assert_close(label.weights, expected['pseudo/weight'])


def test_ema(golden, expected):
    student, teacher = nn.Linear(5, 4), nn.Linear(5, 4)
    ema = EMA(alpha=float(expected['ema/alpha']))
    rows = []
    for iteration in range(6):
        name = 'ema/student/' if iteration == 0 else f'ema/student{iteration}/'
        state = {key: golden.weight(name + key, value.shape) for key, value in student.state_dict().items()}
        student.load_state_dict(state)
        ema.update(teacher, student)
        rows.append(teacher.weight.detach().clone())
    assert_close(torch.stack(rows), expected['ema/teacher_weight_after_step'])


def test_block_mask_is_enlarged_with_nearest_neighbour(expected):
    pixels = expected['mask/pixels']
    blocks, frames = torch.from_numpy(expected['mask/blocks']), torch.ones(len(pixels), 1, 1, *pixels.shape[-2:])
    assert_close(BlockMasking().apply(frames, blocks, torch.zeros(()))[:, 0], pixels)


def test_classmix(golden, expected):
    image_shape, label_shape = (2, 3, *SIZE), (2, *SIZE)
    source = clip(golden.image('fn/cm_src', image_shape), golden.labels('fn/cm_gt', label_shape, 16, 0.05))
    target = clip(golden.image('fn/cm_trg', image_shape), golden.labels('fn/cm_pl', label_shape, 16, 0.0))
    # Row 0 names 255 among the classes: a table of 256 "classes" lets the function paste it as the reference does.
    mixed = classmix(source, target, chosen_from_ids(expected['classmix/classes'], 256))
    assert_close(mixed.frames[:, 0], expected['classmix/image'])
    assert_close(mixed.labels[:, 0], expected['classmix/label'])


def test_quadmix(golden, expected):
    image_shape, label_shape = (2, 3, *SIZE), (2, *SIZE)
    source = clip(golden.image('quad/img_src', image_shape), golden.labels('quad/gt_src', label_shape, 16, 0.05))
    old_labels = golden.labels('quad/gt_src_tmpl', label_shape, 16, 0.05)
    old_source = clip(golden.image('quad/img_src_tmpl', image_shape), old_labels)
    target = clip(
        golden.image('quad/img_trg', image_shape),
        golden.labels('quad/pl_trg', label_shape, 16, 0.0),
        golden.uniform('quad/w_trg', label_shape),
    )
    old_target = clip(
        golden.image('quad/img_trg_tmpl', image_shape),
        golden.labels('quad/pl_trg_tmpl', label_shape, 16, 0.0),
        golden.uniform('quad/w_trg_tmpl', label_shape),
    )
    source_mask = class_mask(old_source.labels, chosen_from_ids(expected['quad/source_classes'], 19))
    target_mask = class_mask(old_target.labels, chosen_from_ids(expected['quad/target_classes'], 19))
    target_mask &= torch.from_numpy(expected['quad/confident'])[:, None]
    mixed = quadmix(source, target, old_source, old_target, source_mask, target_mask)
    for name in ('ss', 'st', 'tss', 'tst'):
        result = getattr(mixed, name)
        assert_close(result.frames[:, 0], expected[f'quad/{name}_image'])
        assert_close(result.labels[:, 0], expected[f'quad/{name}_label'])
        assert_close(result.weights[:, 0], expected[f'quad/{name}_weight'])


def test_blur(golden, expected):
    images = golden.image('fn/cm_src', (2, 3, *SIZE))
    kernel, sigma = tuple(int(k) for k in expected['blur/kernel']), float(expected['blur/sigma'])
    blurred = gaussian_blur(images, [kernel] * 2, [sigma] * 2)
    assert_close(blurred, expected['blur/image'])


@pytest.mark.parametrize(
    ('key', 'operation', 'factor'),
    [
        ('brightness_+0.1', 'brightness', 1.1),
        ('contrast_0.85', 'contrast', 0.85),
        ('saturation_1.15', 'saturation', 1.15),
        ('hue_+0.1', 'hue', 0.1),
    ],
)
def test_jitter(expected, key, operation, factor):
    images = torch.from_numpy(expected['jitter/in'])
    assert_close(torchvision_color(images, operation, factor), expected[f'jitter/{key}'])


@pytest.mark.parametrize('temperature', [0.01, 0.1])
def test_rare_class_probabilities(golden, expected, temperature):
    pixels = np.zeros(19)
    for file in json.loads((golden.directory / 'rcs_sample_class_stats.json').read_text()):
        for train_id, count in file.items():
            if train_id != 'file':
                pixels[int(train_id)] += count
    classes = expected[f'rcs/classes_T{temperature}']
    # The reference leaves out classes that never occur.
    actual = class_probabilities(pixels / pixels.sum(), temperature)[classes]
    np.testing.assert_allclose(actual / actual.sum(), expected[f'rcs/probs_T{temperature}'], rtol=1e-4, atol=1e-7)
