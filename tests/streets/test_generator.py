"""The built-in streets: reproducible, complete, different in the ways they should be, and with flow that is exact."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from udass.streets import CAMERA, GAME, render_clip, render_image, write_streets

SIZE = (96, 192)
DOMAINS = pytest.mark.parametrize('domain', [GAME, CAMERA], ids=lambda domain: domain.name)


def _draw(domain, seed, **options):
    return render_image(domain, np.random.default_rng(seed), SIZE, **options)


def _bytes(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob('*.png')}


def _warp(image: np.ndarray, flow: np.ndarray, interpolation: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(flow.shape[1]), np.arange(flow.shape[0]))
    grid = (np.stack([x, y], axis=-1) + flow).astype(np.float32)
    return cv2.remap(image, grid, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def _away_from_borders(label: np.ndarray) -> np.ndarray:
    kernel = np.ones((5, 5), np.uint8)
    return cv2.erode(label, kernel) == cv2.dilate(label, kernel)


def test_a_seed_gives_one_image_and_the_sensor_changes_no_label():
    image, label = _draw(CAMERA, 3)
    again, label_again = _draw(CAMERA, 3)
    assert image.shape == (*SIZE, 3) and image.dtype == label.dtype == np.uint8
    assert np.array_equal(image, again) and np.array_equal(label, label_again)
    assert not np.array_equal(image, _draw(CAMERA, 4)[0])
    clean, clean_label = _draw(CAMERA, 3, sensor=False)
    assert np.array_equal(label, clean_label) and np.abs(image.astype(int) - clean).mean() > 2


@DOMAINS
def test_all_classes_occur_and_no_others(domain):
    counts = sum(np.bincount(_draw(domain, (seed, 1))[1].ravel(), minlength=256) for seed in range(15))
    share = counts / counts.sum()
    assert np.all(share[:19] > 0) and share[19:].sum() == 0
    assert share[0] > 0.25  # road
    assert np.all(share[[3, 4, 6, 7, 12, 17, 18]] < 0.03)


def test_domains_differ_in_colour_and_texture():
    means = {}
    for domain in (GAME, CAMERA):
        images, labels = zip(*(_draw(domain, (seed, 2)) for seed in range(4)), strict=True)
        images, labels = np.stack(images).astype(np.float32), np.stack(labels)
        saturation = (images.max(axis=-1) - images.min(axis=-1)).mean()
        grain = np.median(np.abs(np.diff(images.mean(axis=-1), axis=2))[labels[:, :, 1:] == 10])
        sky, road = images[labels == 10].mean(axis=0), images[labels == 0].mean()
        means[domain.name] = saturation, grain, sky[2] - sky[0], road
    assert means['game'][0] > 1.5 * means['camera'][0]
    assert means['camera'][1] > 1.5 * means['game'][1]  # noise, seen in the sky
    assert means['game'][2] > means['camera'][2] + 20  # blue against grey sky
    assert means['camera'][3] > means['game'][3] + 10  # light against dark asphalt


@DOMAINS
def test_flow_reproduces_frames_and_labels(domain):
    errors, still_errors, agreement, share = [], [], [], []
    for seed in range(3):
        clip = render_clip(domain, np.random.default_rng((seed, 3)), (192, 384), 3, sensor=False)
        assert set(clip.flows) == {(1, 0), (2, 0), (2, 1)}
        for (current, other), flow in clip.flows.items():
            valid = clip.valid[current, other]
            frame = clip.frames[current].astype(np.float32)
            warped = _warp(clip.frames[other], flow, cv2.INTER_LINEAR)
            label = _warp(clip.labels[other], flow, cv2.INTER_NEAREST)
            inner = valid & _away_from_borders(clip.labels[current])
            errors.append(np.abs(warped - frame)[inner].mean())
            still_errors.append(np.abs(clip.frames[other] - frame)[inner].mean())
            agreement.append((label == clip.labels[current])[inner].mean())
            share.append(valid.mean())
    assert np.mean(errors) < 3.5  # grey levels of 255: what resampling a grainy texture costs
    assert np.mean(errors) < 0.5 * np.mean(still_errors)
    assert np.min(agreement) > 0.99 and np.min(share) > 0.8


def test_a_smooth_world_moves_exactly():
    """Without grain the only error left is that of resampling edges."""
    clip = render_clip(GAME, np.random.default_rng(8), (192, 384), 2, sensor=False)
    warped = _warp(cv2.GaussianBlur(clip.frames[0], (0, 0), 1.5), clip.flows[1, 0], cv2.INTER_LINEAR)
    inner = clip.valid[1, 0] & _away_from_borders(clip.labels[1])
    difference = np.abs(warped.astype(int) - cv2.GaussianBlur(clip.frames[1], (0, 0), 1.5))[inner]
    assert np.median(difference) <= 1 and difference.mean() < 2.5


def test_no_motion_is_zero_flow():
    clip = render_clip(CAMERA, np.random.default_rng(1), SIZE, 3, sensor=False, moving=False)
    for key, flow in clip.flows.items():
        assert np.abs(flow).max() < 1e-4 and clip.valid[key].all()
    assert np.array_equal(clip.frames[0], clip.frames[2])


def test_hidden_points_are_not_valid():
    """A point is valid only where the other frame has the same class at its position."""
    clip = render_clip(GAME, np.random.default_rng(11), (192, 384), 3, sensor=False)
    label = _warp(clip.labels[0], clip.flows[2, 0], cv2.INTER_NEAREST)
    hidden = ~clip.valid[2, 0] & (label != clip.labels[2])
    assert hidden.sum() > 50
    assert (label != clip.labels[2])[clip.valid[2, 0]].mean() < 0.02


def test_folders_and_reuse(tmp_path):
    counts = {'game': {'train': 2}, 'camera': {'train': 1, 'val': 1}}
    options = dict(size=SIZE, counts=counts, clip_counts={'camera': {'val': 1}}, clip_length=3, workers=1)
    assert write_streets(tmp_path, **options) == 5
    content = _bytes(tmp_path)
    clip = 'camera_clips/val/0000'
    splits = ('game/train/{}/000000', 'game/train/{}/000001', 'camera/train/{}/000000', 'camera/val/{}/000000')
    frames = tuple(f'{clip}/{{}}/{index:05d}' for index in range(3))
    expected = {f'{name.format(kind)}.png' for name in splits + frames for kind in ('images', 'labels')}
    expected |= {f'{clip}/flow/{name}.png' for name in ('00001_00000', '00002_00000', '00002_00001')}
    assert set(content) == expected
    record = json.loads((tmp_path / 'streets.json').read_text())
    assert (record['seed'], record['size'], record['complete']) == (0, list(SIZE), True)
    assert record['counts'] == {'camera/train': 1, 'camera/val': 1, 'camera_clips/val': 1, 'game/train': 2}
    assert write_streets(tmp_path, **options) == 0
    (tmp_path / 'game/train/labels/000001.png').unlink()
    (tmp_path / clip / 'complete.txt').unlink()
    assert write_streets(tmp_path, **options) == 2
    assert _bytes(tmp_path) == content


@pytest.mark.slow  # two processes import OpenCV anew
def test_images_do_not_depend_on_their_number_or_the_workers(tmp_path):
    write_streets(tmp_path / 'few', size=(32, 64), counts={'game': {'train': 2}}, workers=1)
    write_streets(tmp_path / 'many', size=(32, 64), counts={'game': {'train': 16}}, workers=2)
    few, many = _bytes(tmp_path / 'few'), _bytes(tmp_path / 'many')
    assert len(many) == 32 and few.items() <= many.items() and len(set(many.values())) == 32


def test_other_arguments_need_force(tmp_path):
    options = dict(size=(32, 64), counts={'game': {'val': 1}}, workers=1)
    write_streets(tmp_path, **options)
    before = _bytes(tmp_path)
    with pytest.raises(ValueError, match=r"holds streets drawn with .*'seed': 0.* but .*'seed': 7.*--force"):
        write_streets(tmp_path, seed=7, **options)
    assert write_streets(tmp_path, seed=7, force=True, **options) == 1
    assert _bytes(tmp_path).keys() == before.keys() and _bytes(tmp_path) != before


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(counts={'moon': {'train': 1}}), "unknown domain 'moon' of streets; expected one of"),
        (dict(counts={'game': {'test': 1}}), r"streets 'game' take numbers of images, .*, got 'test': 1"),
        (dict(size=(16, 64)), 'the size 32x32'),
        (dict(seed=-1), 'the seed must be at least 0'),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_streets(tmp_path, **options)
