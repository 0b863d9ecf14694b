import pytest
import torch
import torchvision.transforms.v2.functional as TF

from udass.uda import PhotometricChange, StrongAugmentation
from udass.uda.photometric import (
    COLOR_OPERATIONS,
    Decision,
    PhotometricDraw,
    gaussian_blur,
    join_orders,
    kornia_color,
    reference_blur_kernel,
    torchvision_color,
    turn_hue,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_change_is_identity():
    frames = torch.rand(2, 1, 3, 8, 8, generator=generator()) * 255
    for change in (PhotometricChange(), StrongAugmentation()):
        assert torch.equal(change.apply(frames, [PhotometricDraw([], None)] * 2), frames)


@pytest.mark.parametrize(
    'change',
    [
        PhotometricChange(jitter_probability=1.0, blur_probability=1.0),
        StrongAugmentation(jitter_probability=1.0, blur_probability=1.0, grey_probability=0.0),
    ],
)
def test_frames_of_a_clip_change_alike_and_clips_differ(change):
    frame = torch.rand(1, 1, 3, 16, 16, generator=generator()) * 255
    changed = change.apply(frame.expand(2, 3, -1, -1, -1), change.draw(2, generator(1)))
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-4)
    assert not torch.allclose(changed[0], changed[1], atol=1.0)


@pytest.mark.parametrize('operations', ['kornia', 'torchvision'])
def test_result_stays_in_range_and_the_input_as_it_is(operations):
    change = PhotometricChange(operations=operations, jitter_probability=1.0)
    frames = torch.rand(8, 1, 3, 16, 16, generator=generator()) * 255
    before = frames.clone()
    changed = change.apply(frames, change.draw(8, generator(1)))
    assert changed.min() >= 0 and changed.max() <= 255.01 and torch.equal(frames, before)


@pytest.mark.parametrize('turn', [-0.5, -0.2, 0.0, 0.07, 0.3, 0.5])
def test_hue_turns_as_in_torchvision(turn):
    images = torch.rand(2, 3, 32, 32, generator=generator())
    # Equal channels, whose hue is not defined, and the six corners of the colour cube.
    images[0, :, 0] = images[0, :1, 0]
    images[0, 1, 1] = images[0, 0, 1]
    images[1, :, :8] = images[1, :, :8].round()
    assert torch.allclose(turn_hue(images, turn), TF.adjust_hue(images, turn), atol=2e-6)


@pytest.mark.parametrize('color', [kornia_color, torchvision_color])
@pytest.mark.parametrize(
    'operation, factor', [('brightness', 1.2), ('contrast', 0.8), ('saturation', 1.2), ('hue', 0.15)]
)
def test_colours_change_alike_on_every_scale(color, operation, factor):
    images = torch.rand(2, 3, 16, 16, generator=generator())
    changed = color(images * 255, operation, factor, peak=255)
    assert torch.allclose(changed / 255, color(images, operation, factor), atol=1e-6)
    assert changed.min() >= 0 and changed.max() <= 255


# One pixel (0.2, 0.6, 0.4): value 0.6, smallest 0.2, S = 2/3; its grey is 0.299 * 0.2 + 0.587 * 0.6 + 0.114 * 0.4.
@pytest.mark.parametrize(
    ('color', 'operation', 'factor', 'expected'),
    [
        (kornia_color, 'brightness', 1.2, (0.4, 0.8, 0.6)),
        (torchvision_color, 'brightness', 1.2, (0.24, 0.72, 0.48)),
        (kornia_color, 'brightness', 0.7, (0.0, 0.3, 0.1)),
        (kornia_color, 'contrast', 1.8, (0.36, 1.0, 0.72)),
        (torchvision_color, 'contrast', 1.2, (0.16424, 0.64424, 0.40424)),
        (kornia_color, 'saturation', 0.5, (0.4, 0.6, 0.5)),
        (kornia_color, 'saturation', 1.2, (0.12, 0.6, 0.36)),
        (kornia_color, 'saturation', 1.8, (0.0, 0.6, 0.3)),
        (torchvision_color, 'saturation', 0.0, (0.4576, 0.4576, 0.4576)),
    ],
)
def test_operations_by_hand(color, operation, factor, expected):
    pixel = torch.tensor([0.2, 0.6, 0.4])
    # The second pixel is grey: the mean grey is (0.4576 + 0.3) / 2.
    images = torch.stack([pixel, torch.full((3,), 0.3)], dim=1)[:, :, None]
    assert color(images, operation, factor)[:, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    'change',
    [PhotometricChange(per_image=True), PhotometricChange('torchvision', grey_probability=0.3), StrongAugmentation()],
    ids=['kornia', 'torchvision', 'strong'],
)
def test_a_batch_is_changed_as_its_clips_one_by_one(change):
    """Whatever the orders, factors, decisions and widths of its clips are."""
    random = generator()
    frames = torch.rand(6, 2, 3, 40, 48, generator=random) * 255
    changes = [change.draw(1, random)[0] for _ in frames]
    changes[2] = PhotometricDraw([], None)
    before = frames.clone()
    changed = change.apply(frames, changes)

    def colours(clip, jitter):
        # The mean grey of contrast is that of all frames.
        image = clip.transpose(0, 1).flatten(1, 2)
        for operation, factor in jitter:
            image = COLOR_OPERATIONS[change.operations](image, operation, factor, peak=255)
        return image.unflatten(1, (2, 40)).transpose(0, 1)

    def blur(clip, sigma):
        return clip if sigma is None else gaussian_blur(clip, [change.blur_kernel((40, 48), sigma)] * 2, [sigma] * 2)

    blur_first = isinstance(change, StrongAugmentation)
    expected = [
        colours(blur(clip, sigma), jitter) if blur_first else blur(colours(clip, jitter), sigma)
        for clip, (jitter, sigma) in zip(frames, changes, strict=True)
    ]
    # A hue in sixths of the circle is rounded to 5e-7, and moves a channel by up to 255 of it.
    assert torch.allclose(changed, torch.stack(expected), rtol=0, atol=5e-4) and torch.equal(changed[2], frames[2])
    assert torch.equal(frames, before) and not torch.allclose(changed, frames, atol=1.0)


def test_orders_are_joined_at_hue():
    first = [('hue', 0.1), ('contrast', 0.9), ('saturation', 0.8), ('brightness', 1.1)]
    second = [('saturation', 1.2), ('brightness', 0.9), ('hue', -0.1), ('contrast', 1.05)]
    assert join_orders([first, second, []]) == [
        ('saturation', [1.0, 1.2, 1.0]),
        ('brightness', [1.0, 0.9, 1.0]),
        ('hue', [0.1, -0.1, 0.0]),
        ('contrast', [0.9, 1.05, 1.0]),
        ('saturation', [0.8, 1.0, 1.0]),
        ('brightness', [1.1, 1.0, 1.0]),
    ]
    assert join_orders([[], []]) == []


def test_draws_follow_probabilities_ranges_and_random_order():
    change, random = PhotometricChange(), generator()
    draws = [change.draw(2, random) for _ in range(2000)]
    assert sum(bool(draw[0].jitter) for draw in draws) / 2000 == pytest.approx(0.8, abs=0.03)
    assert sum(draw[0].sigma is not None for draw in draws) / 2000 == pytest.approx(0.5, abs=0.04)
    jittered = [draw[0].jitter for draw in draws if draw[0].jitter]
    assert {tuple(name for name, _ in jitter) for jitter in jittered} >= {
        ('brightness', 'contrast', 'saturation', 'hue'),
        ('hue', 'saturation', 'contrast', 'brightness'),
    }
    hues = [factor for jitter in jittered for name, factor in jitter if name == 'hue']
    brightness = [factor for jitter in jittered for name, factor in jitter if name == 'brightness']
    assert -0.2 <= min(hues) < -0.18 and 0.18 < max(hues) <= 0.2
    assert 0.8 <= min(brightness) < 0.82 and 1.18 < max(brightness) <= 1.2
    sigmas = [draw[0].sigma for draw in draws if draw[0].sigma is not None]
    assert 0.15 <= min(sigmas) < 0.17 and 1.13 < max(sigmas) <= 1.15
    # One decision, one order and one width for the whole batch, but factors for each clip.
    for first, second in draws:
        assert [name for name, _ in first.jitter] == [name for name, _ in second.jitter] and first.sigma == second.sigma
        assert not first.jitter or first.jitter != second.jitter


@pytest.mark.parametrize('decision', [Decision(True, False), Decision(False, True)])
def test_draws_that_share_a_decision_differ_in_the_rest(decision):
    change, random = PhotometricChange(), generator()
    draws = [change.draw(1, random, decision)[0] for _ in range(50)]
    assert all((bool(draw.jitter), draw.sigma is not None) == decision for draw in draws)
    assert len({tuple(draw.jitter) for draw in draws}) == (50 if decision.jitter else 1)
    assert len({tuple(name for name, _ in draw.jitter) for draw in draws}) > (10 if decision.jitter else 0)
    assert len({draw.sigma for draw in draws}) == (50 if decision.blur else 1)


def test_strong_draws():
    change, random = StrongAugmentation(), generator()
    draws = [change.draw(1, random)[0] for _ in range(2000)]
    widths = [draw.sigma for draw in draws if draw.sigma is not None]
    assert len(widths) / 2000 == pytest.approx(0.6, abs=0.04)
    assert all(widths.count(width) / len(widths) == pytest.approx(1 / 3, abs=0.05) for width in (5, 7, 9))
    # Grey comes last, whether colours were jittered before or not.
    grey = [draw.jitter for draw in draws if ('saturation', 0.0) in draw.jitter]
    assert len(grey) / 2000 == pytest.approx(0.2, abs=0.03) and {len(jitter) for jitter in grey} == {1, 5}
    assert all(jitter[-1] == ('saturation', 0.0) for jitter in grey)
    assert sum(len(draw.jitter) >= 4 for draw in draws) / 2000 == pytest.approx(0.8, abs=0.03)
    factors = [factor for draw in draws for name, factor in draw.jitter if name in ('brightness', 'contrast')]
    assert 0.2 <= min(factors) < 0.22 and 1.78 < max(factors) <= 1.8


def test_strong_blur_comes_first_and_is_as_wide_as_drawn():
    # A white dot brighter than white after the jitter: blurred first it stays below white, blurred last it would not.
    dot = torch.zeros(1, 1, 3, 121, 121)
    dot[..., 60, 60] = 255.0
    blurred = StrongAugmentation().apply(dot, [PhotometricDraw([], 9.0)])[0, 0, 0]
    assert blurred.sum().item() == pytest.approx(255, rel=1e-4)
    offsets = torch.arange(121) - 60.0
    assert (blurred.sum(dim=0) * offsets**2).sum().item() / 255 == pytest.approx(81, rel=3e-3)
    changed = StrongAugmentation().apply(dot, [PhotometricDraw([('brightness', 1.8)], 9.0)])[0, 0, 0]
    assert torch.allclose(changed, 1.8 * blurred)


def test_frames_of_a_clip_share_the_mean_grey_of_contrast():
    frames = torch.stack([torch.full((3, 4, 4), 100.0), torch.full((3, 4, 4), 50.0)])[None]
    changed = StrongAugmentation().apply(frames, [PhotometricDraw([('contrast', 0.5)], None)])
    assert changed[0, :, 0, 0, 0].tolist() == pytest.approx([87.5, 62.5])


@pytest.mark.parametrize(('size', 'kernel'), [((512, 512), (51, 51)), ((1024, 1024), (103, 103)), ((64, 96), (7, 9))])
def test_reference_kernel(size, kernel):
    assert reference_blur_kernel(size) == kernel


@pytest.mark.parametrize('sigma', [0.15, 0.6, 1.15])
def test_blur_equals_torchvision_with_the_full_kernel(sigma):
    images = torch.rand(2, 3, 128, 140, generator=generator()) * 255
    expected = TF.gaussian_blur(images, kernel_size=[15, 13], sigma=[sigma, sigma])
    assert torch.allclose(gaussian_blur(images, [(13, 15)] * 2, [sigma] * 2), expected, atol=1e-3)


def test_blur_works_on_images_smaller_than_its_kernel():
    assert gaussian_blur(torch.rand(1, 3, 2, 3), [(51, 51)], [1.0]).shape == (1, 3, 2, 3)


@pytest.mark.parametrize('color', [kornia_color, torchvision_color])
def test_unknown_operation_is_refused(color):
    with pytest.raises(ValueError, match='unknown colour operation'):
        color(torch.rand(3, 4, 4), 'gamma', 1.0)


@pytest.mark.parametrize(
    ('change', 'arguments', 'message'),
    [
        (PhotometricChange, dict(brightness=-0.1), 'strengths in'),
        (PhotometricChange, dict(hue=0.6), r'in \[0, 0.5\]'),
        (PhotometricChange, dict(jitter_probability=2), 'jitter_probability, blur_probability and grey_probability'),
        (PhotometricChange, dict(sigma=(0, 0)), '0 < low <= high'),
        (PhotometricChange, dict(operations='opencv'), "kornia or torchvision, got 'opencv'"),
        (StrongAugmentation, dict(sigmas=()), r'sigmas are .* got \(\)'),
        (StrongAugmentation, dict(sigmas=(5, 0)), r'larger than 0; got \(5, 0\)'),
        (StrongAugmentation, dict(grey_probability=1.5), 'grey_probability are in'),
    ],
)
def test_impossible_changes_are_refused(change, arguments, message):
    with pytest.raises(ValueError, match=message):
        change(**arguments)
