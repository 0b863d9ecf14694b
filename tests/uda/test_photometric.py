import math

import pytest
import torch
import torchvision.transforms.v2.functional as TF

from udass.uda import PhotometricChange
from udass.uda.photometric import PhotometricDraw, adjust_color, gaussian_blur, reference_blur_kernel, turn_hue


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_change_is_identity():
    frames = torch.rand(2, 1, 3, 8, 8, generator=generator()) * 255
    assert torch.equal(PhotometricChange().apply(frames, PhotometricDraw([[], []], [None, None])), frames)


def test_frames_of_a_clip_change_alike_and_clips_differ():
    change = PhotometricChange(jitter_probability=1.0, blur_probability=1.0)
    frame = torch.rand(1, 1, 3, 16, 16, generator=generator()) * 255
    changed = change.apply(frame.expand(2, 3, -1, -1, -1), change.draw(2, generator(1)))
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-4)
    assert not torch.allclose(changed[0], changed[1], atol=1.0)


def test_result_stays_in_range():
    change = PhotometricChange(jitter_probability=1.0)
    frames = torch.rand(8, 1, 3, 16, 16, generator=generator()) * 255
    changed = change.apply(frames, change.draw(8, generator(1)))
    assert changed.min() >= 0 and changed.max() <= 255.01


@pytest.mark.parametrize('turn', [-0.5, -0.2, 0.0, 0.07, 0.3, 0.5])
def test_hue_turns_as_in_torchvision(turn):
    images = torch.rand(2, 3, 32, 32, generator=generator())
    # Equal channels, whose hue is not defined, and the six corners of the colour cube.
    images[0, :, 0] = images[0, :1, 0]
    images[0, 1, 1] = images[0, 0, 1]
    images[1, :, :8] = images[1, :, :8].round()
    assert torch.allclose(turn_hue(images, turn), TF.adjust_hue(images, turn), atol=2e-6)


@pytest.mark.parametrize('operation, factor', [('brightness', 1.2), ('contrast', 0.8), ('saturation', 1.2),
                                               ('hue', 0.15)])
def test_colours_change_alike_on_every_scale(operation, factor):
    images = torch.rand(2, 3, 16, 16, generator=generator())
    changed = adjust_color(images * 255, operation, factor, peak=255)
    assert torch.allclose(changed / 255, adjust_color(images, operation, factor), atol=1e-6)
    assert changed.min() >= 0 and changed.max() <= 255


def test_draws_follow_probabilities_ranges_and_random_order():
    change, random = PhotometricChange(), generator()
    draws = [change.draw(2, random) for _ in range(2000)]
    assert sum(bool(draw.jitter[0]) for draw in draws) / 2000 == pytest.approx(0.8, abs=0.03)
    assert sum(draw.sigma[0] is not None for draw in draws) / 2000 == pytest.approx(0.5, abs=0.04)
    jittered = [draw.jitter[0] for draw in draws if draw.jitter[0]]
    assert {tuple(name for name, _ in jitter) for jitter in jittered} >= {
        ('brightness', 'contrast', 'saturation', 'hue'), ('hue', 'saturation', 'contrast', 'brightness')}
    hues = [factor for jitter in jittered for name, factor in jitter if name == 'hue']
    brightness = [factor for jitter in jittered for name, factor in jitter if name == 'brightness']
    assert -0.2 <= min(hues) < -0.18 and 0.18 < max(hues) <= 0.2
    assert 0.8 <= min(brightness) < 0.82 and 1.18 < max(brightness) <= 1.2
    sigmas = [draw.sigma[0] for draw in draws if draw.sigma[0] is not None]
    assert 0.15 <= min(sigmas) < 0.17 and 1.13 < max(sigmas) <= 1.15
    # One decision for the whole batch.
    assert all(bool(draw.jitter[0]) == bool(draw.jitter[1]) for draw in draws)


@pytest.mark.parametrize(('size', 'kernel'), [((512, 512), (51, 51)), ((1024, 1024), (103, 103)), ((64, 96), (7, 9))])
def test_reference_kernel(size, kernel):
    assert reference_blur_kernel(size) == kernel


@pytest.mark.parametrize('sigma', [0.15, 0.6, 1.15])
def test_blur_equals_torchvision_with_the_full_kernel(sigma):
    images = torch.rand(2, 3, 128, 140, generator=generator()) * 255
    expected = TF.gaussian_blur(images, kernel_size=[15, 13], sigma=[sigma, sigma])
    assert torch.allclose(gaussian_blur(images, (13, 15), sigma), expected, atol=1e-3)


def test_blur_works_on_images_smaller_than_its_kernel():
    assert gaussian_blur(torch.rand(1, 3, 2, 3), (51, 51), 1.0).shape == (1, 3, 2, 3)


@pytest.mark.parametrize('operation', ['brightness', 'hue'])
def test_colour_operations_equal_torchvision(operation):
    images = torch.rand(2, 3, 16, 16, generator=generator())
    reference = dict(brightness=TF.adjust_brightness, hue=TF.adjust_hue)[operation]
    assert torch.allclose(adjust_color(images, operation, 0.13), reference(images, 0.13), atol=1e-6)


def test_unknown_operation_is_refused():
    with pytest.raises(ValueError, match='unknown colour operation'):
        adjust_color(torch.rand(3, 4, 4), 'gamma', 1.0)


def test_kernel_weights_sum_to_one():
    flat = torch.full((1, 1, 9, 9), math.pi)
    assert torch.allclose(gaussian_blur(flat, (5, 5), 1.0), flat)


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(brightness=-0.1), 'strengths in'), (dict(hue=0.6), r'in \[0, 0.5\]'),
    (dict(jitter_probability=2), 'jitter_probability, blur_probability'), (dict(sigma=(0, 0)), '0 < low <= high')])
def test_impossible_changes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PhotometricChange(**arguments)
