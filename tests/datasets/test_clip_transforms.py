"""Clips through the pipeline: frames, labels and flow stay together, and the flow stays exact."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from torch.utils.data._utils.pin_memory import pin_memory

from tests.datasets.published import picture, write_cityscapes_snippet, write_png
from tests.datasets.video import MeanDifference, StreetsFlowFiles
from udass.datasets import CityscapesSeq, ClipDataset, StreetsClips, isolated_randomness
from udass.datasets.transforms import ClipCrop, ClipFlip, ClipResize, CutBottomRows, LoadClip
from udass.streets import GAME
from udass.streets.render import exact_flow, render
from udass.streets.scene import draw_scene
from udass.streets.writer import write_streets

FLOW = dict(type='LoadFlow', cache=dict(type=StreetsFlowFiles))
LOAD = [dict(type='LoadClip'), dict(type='LoadClipLabels'), FLOW]
SIZE = (64, 128)


@pytest.fixture(scope='module')
def streets(tmp_path_factory) -> str:
    """One clip of four frames per domain, and its exact flow."""
    root = tmp_path_factory.mktemp('streets')
    clips = {'game': {'train': 1}, 'camera': {'train': 1, 'val': 1}}
    write_streets(root, size=SIZE, counts={'game': {'train': 0}}, clip_counts=clips, workers=1)
    return str(root)


def load(streets, transforms=(), pack=False, index=0, **changes) -> dict:
    pipeline = [*LOAD, *transforms, *[dict(type='PackClip')] * pack]
    return StreetsClips(data_root=streets, domain='game', split='train', pipeline=pipeline, **changes)[index]


def clip(height=20, width=30, motion=((0.1, -0.05, 2.0), (0.02, 0.08, -1.5))) -> dict:
    """Results with the exact flow of a plane: (dx, dy) = motion @ (x, y, 1)."""
    image = picture(width, height)
    labels = (np.arange(height * width).reshape(height, width) % 7).astype(np.uint8)
    return dict(
        img=image,
        other_frames=[image + 1],
        gt_seg_map=labels,
        gt_seg_map_1=labels + 1,
        img_path='a.png',
        img_shape=(height, width),
        seg_fields=['gt_seg_map', 'gt_seg_map_1'],
        flows={(0, 1): plane_flow(height, width, motion)},
    )


def plane_flow(height, width, motion) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (np.stack([x, y, np.ones_like(x)], -1) @ np.array(motion).T).astype(np.float32)


def pixels(height, width) -> np.ndarray:
    """(H, W, 2): the (x, y) of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)


def test_the_flow_of_a_flipped_clip_is_exact(streets):
    original, flipped = load(streets), load(streets, [dict(type='ClipFlip', prob=1.0)])
    before, after = original['flows'][0, 1], flipped['flows'][0, 1]
    width = SIZE[1]
    mirror = np.array([-1, 1]), np.array([width - 1, 0])
    # Where every pixel and its partner in the other frame go.
    start = pixels(*SIZE) * mirror[0] + mirror[1]
    end = (pixels(*SIZE) + before) * mirror[0] + mirror[1]
    column, row = start[..., 0].astype(int), start[..., 1].astype(int)
    assert np.abs(after[row, column] - (end - start)).max() < 1e-3
    assert (flipped['other_frames'][0] == original['other_frames'][0][:, ::-1]).all()
    assert (flipped['gt_seg_map_1'] == original['gt_seg_map_1'][:, ::-1]).all()


def test_flow_and_frames_still_belong_together_after_flip_and_crop(streets):
    with isolated_randomness(3):
        sample = load(streets, [dict(type='ClipCrop', crop_size=(48, 96)), dict(type='ClipFlip', prob=1.0)], index=1)
    flow, label, other = sample['flows'][0, 1], sample['gt_seg_map'], sample['gt_seg_map_1']
    right, wrong = ((pixels(48, 96) + flow * sign).astype(np.float32) for sign in ((1, 1), (-1, 1)))
    inside = (right >= 0).all(-1) & (right <= (95, 47)).all(-1)
    agree, other_sign = (
        (cv2.remap(other, grid, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) == label)[inside].mean()
        for grid in (right, wrong)
    )
    # The rest was hidden in the other frame; with the wrong sign of dx more does not fit.
    assert agree > 0.93 > other_sign + 0.01


def test_the_flow_of_a_resized_clip_is_that_of_the_smaller_camera():
    scene = draw_scene(GAME, np.random.default_rng(5), size=(96, 192))
    large, small = ([render(scene, time=time, size=size) for time in (1 / 12, 0)] for size in ((96, 192), (48, 96)))
    results = dict(clip(96, 192), flows={(0, 1): exact_flow(*large)[0]})
    resized = ClipResize(scale=(96, 48))(results)['flows'][0, 1]
    exact = exact_flow(*small)[0]
    # Pixels whose whole neighbourhood shows one plane: on edges a resized pixel is a mixture of two motions.
    number = large[0].number.reshape(48, 2, 96, 2)
    alone = (number == small[0].number[:, None, :, None]).all((1, 3))
    assert alone.mean() > 0.6 and np.abs(exact[alone]).max() > 1
    assert np.abs(resized - exact)[alone].max() < 0.02


@pytest.mark.parametrize('scale', [(45, 40), (20, 13), (30, 20)])
def test_each_axis_of_the_flow_is_scaled_by_its_own_ratio(scale):
    results = clip()
    before = results['flows'][0, 1].copy()
    resized = ClipResize(scale=scale)(results)
    assert resized['img'].shape == resized['other_frames'][0].shape == (scale[1], scale[0], 3)
    assert resized['gt_seg_map'].shape == resized['gt_seg_map_1'].shape == scale[::-1] == resized['img_shape']
    ratio = np.array([scale[0] / 30, scale[1] / 20])
    # Pixel centres: x of the large image is at (x + 0.5) * ratio - 0.5 of the small one.
    source = (pixels(*scale[::-1]) + 0.5) / ratio - 0.5
    motion = np.array(((0.1, -0.05, 2.0), (0.02, 0.08, -1.5)))
    exact = (np.concatenate([source, np.ones_like(source[..., :1])], -1) @ motion.T) * ratio
    inside = ((source >= 0) & (source <= (29, 19))).all(-1)
    assert np.abs(resized['flows'][0, 1] - exact)[inside].max() < 1e-3
    if scale == (30, 20):
        assert (resized['flows'][0, 1] == before).all()


def test_a_crop_keeps_the_motion_of_its_pixels_and_looks_for_the_rare_class_in_frame_0():
    labels = np.zeros((20, 30), np.uint8)
    labels[13:15, 20] = 1
    # The class is elsewhere in the other frame, which does not count.
    results = dict(clip(), gt_seg_map=labels, gt_seg_map_1=labels[::-1, ::-1], rare_class=1, rare_class_min_pixels=1)
    image, flow, other = results['img'], results['flows'][0, 1], results['other_frames'][0]
    found = set()
    with isolated_randomness(0):
        for _ in range(500):
            cropped = ClipCrop(crop_size=(8, 12))(dict(results))
            top, left = cropped['img'][0, 0, :2].tolist()
            window = np.s_[top : top + 8, left : left + 12]
            assert (cropped['img'] == image[window]).all() and cropped['img_shape'] == (8, 12)
            assert (cropped['other_frames'][0] == other[window]).all()
            assert (cropped['flows'][0, 1] == flow[window]).all()
            assert (cropped['gt_seg_map_1'] == results['gt_seg_map_1'][window]).all()
            found.add((top, left))
    assert found == {(top, left) for top in range(7, 13) for left in range(9, 19)}


@pytest.mark.parametrize('direction, sign', [('horizontal', (-1, 1)), ('vertical', (1, -1)), ('diagonal', (-1, -1))])
def test_a_flip_reverses_the_motion_along_its_axes(direction, sign):
    flipped = ClipFlip(prob=1.0, direction=direction)(clip(motion=((0, 0, 2.0), (0, 0, -1.5))))
    assert (flipped['flows'][0, 1] == np.array((2.0, -1.5)) * sign).all()
    same = ClipFlip(prob=0.0, direction=direction)(clip())
    assert (same['flows'][0, 1] == clip()['flows'][0, 1]).all() and 'moved_by' not in same


def test_random_scales_of_mmcv_take_clips(streets):
    options = dict(scale=(128, 64), ratio_range=(1.5, 1.5), keep_ratio=True)
    before, after = load(streets), load(streets, [dict(type='RandomResize', resize_type='ClipResize', **options)])
    assert after['other_frames'][0].shape == (96, 192, 3) and after['gt_seg_map_1'].shape == (96, 192)
    assert after['flows'][0, 1].mean() == pytest.approx(1.5 * before['flows'][0, 1].mean(), rel=0.02)


def test_bottom_rows_of_a_smaller_frame_are_cut_in_proportion():
    cut = CutBottomRows(rows=5, height=40)(clip())
    assert cut['img'].shape[:2] == cut['gt_seg_map'].shape == cut['gt_seg_map_1'].shape == (18, 30)
    assert cut['flows'][0, 1].shape == (18, 30, 2) and cut['other_frames'][0].shape == (18, 30, 3)
    with pytest.raises(ValueError, match='rows must be in 0..height - 1, got rows=40 and height=40'):
        CutBottomRows(rows=40, height=40)


def test_a_packed_source_clip(streets):
    packed = load(streets, pack=True)
    sample = packed['data_samples']
    assert packed['inputs'].shape == (2, 3, *SIZE) and packed['inputs'].dtype == torch.uint8
    assert sample.gt_sem_seg.data.shape == (2, *SIZE) and sample.gt_sem_seg.data.dtype == torch.uint8
    assert sample.flow.shape == (1, 2, *SIZE) and sample.flow.dtype == torch.float32
    assert 'past_flow' not in sample and len(sample.frame_paths) == 2
    plain = load(streets)
    assert (packed['inputs'][1].numpy().transpose(1, 2, 0) == plain['other_frames'][0]).all()
    assert (sample.gt_sem_seg.data[1].numpy() == plain['gt_seg_map_1']).all()
    assert (sample.flow[0, 0].numpy() == plain['flows'][0, 1][..., 0]).all()


def test_all_tensors_of_a_packed_clip_can_be_pinned(streets, monkeypatch):
    sample = load(streets, [dict(type='PseudoMargins')], pack=True)['data_samples']
    pinned = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor: pinned.append(tensor) or tensor.clone())
    copy = pin_memory({'data_samples': [sample]})['data_samples'][0]
    assert len(pinned) == len(sample.keys()) >= 2 and copy.metainfo == sample.metainfo
    assert all(torch.equal(copy.get(name).data, value.data) for name, value in sample.items())
    assert {tensor.data_ptr() for tensor in pinned} == {value.data.data_ptr() for value in sample.values()}


def test_a_packed_target_clip_with_its_past(streets):
    pipeline = [LOAD[0], FLOW, dict(type='ClipFlip', prob=1.0), dict(type='PackClip')]
    packed = StreetsClips(data_root=streets, domain='camera', split='train', past=1, labelled=False, pipeline=pipeline)[
        0
    ]
    sample = packed['data_samples']
    assert packed['inputs'].shape == (4, 3, *SIZE) and 'gt_sem_seg' not in sample
    # t - 1 is the first frame of the past pair, too.
    assert (packed['inputs'][1] == packed['inputs'][2]).all() and (packed['inputs'][2] != packed['inputs'][3]).any()
    flow = sample.flow
    assert flow.shape == (3, 2, *SIZE) and (flow[0] == flow[1]).all() and (flow[1] != flow[2]).any()
    assert sample.past_flow.shape == (1, 2, *SIZE) and (sample.past_flow[0] != flow[0]).any()


def test_frames_without_label_are_ignored(tmp_path):
    write_cityscapes_snippet(tmp_path, 'val')
    margins = [dict(type='PseudoMargins'), dict(type='ClipFlip', prob=1.0), dict(type='PackClip')]
    dataset = CityscapesSeq(data_root=str(tmp_path), split='val', benchmark='viper', pipeline=[*LOAD[:2], *margins])
    sample = dataset[0]['data_samples']
    assert (sample.gt_sem_seg.data[1] == 255).all() and (sample.gt_sem_seg.data[0] != 255).any()
    assert sample.valid_pseudo_mask.data.shape == (1, 32, 64) and 'flow' not in sample


def test_in_testing_labels_keep_the_size_of_their_files(streets):
    pipeline = [LOAD[0], FLOW, dict(type='ClipResize', scale=(64, 32)), LOAD[1], dict(type='PackClip')]
    packed = StreetsClips(data_root=streets, domain='camera', split='val', test_mode=True, pipeline=pipeline)
    sample = packed[0]['data_samples']
    assert len(packed) == 4 and packed[0]['inputs'].shape == (2, 3, 32, 64)
    assert sample.gt_sem_seg.data.shape == (2, *SIZE) == (2, *sample.ori_shape)
    # The first frame stands for the one before it: no motion.
    assert sample.flow.shape == (1, 2, 32, 64) and not sample.flow.any()
    assert packed[1]['data_samples'].flow.any()


def unlabelled_clips(root, pipeline):
    options = dict(image_folder='images', label_folder='', image_suffix='.png', label_suffix='.png', labelled=False)
    metainfo = dict(classes=('a',), palette=[[0, 0, 0]])
    return ClipDataset(data_root=str(root), metainfo=metainfo, pipeline=pipeline, **options)


def test_an_estimator_gets_the_frames_as_rgb(tmp_path):
    for number, red in enumerate((10, 30)):
        write_png(tmp_path / f'images/{number}.png', np.full((4, 6, 3), (0, 0, red), np.uint8))  # BGR
    pipeline = [LOAD[0], dict(type='LoadFlow', estimator=dict(type=MeanDifference))]
    flow = unlabelled_clips(tmp_path, pipeline)[0]['flows'][0, 1]
    assert flow.dtype == np.float32 and flow.shape == (4, 6, 2) and (flow == (30, 10)).all()


@pytest.mark.parametrize('arguments', [{}, dict(cache=FLOW['cache'], estimator=dict(type=MeanDifference))])
def test_flow_comes_from_one_place(arguments):
    with pytest.raises(ValueError, match=r'give either cache \(flow of files\) or estimator'):
        Compose([dict(type='LoadFlow', **arguments)])


@pytest.mark.parametrize(
    'before, message',
    [
        (dict(type='ClipFlip', prob=1.0), 'but ClipFlip stands before it in the pipeline'),
        (dict(type='ClipCrop', crop_size=32), 'but ClipCrop stands before it'),
        (dict(type='CutBottomRows', rows=1, height=8), 'but CutBottomRows stands before it'),
        (dict(type='ClipResize', scale=(64, 32)), r'has shape \(64, 128, 2\), expected \(32, 64, 2\) from StreetsFlow'),
    ],
)
def test_flow_of_files_fits_whole_frames_only(streets, before, message):
    with pytest.raises(ValueError, match=message):
        StreetsClips(data_root=streets, domain='game', split='train', pipeline=[LOAD[0], before, FLOW])[0]


def test_frames_of_different_sizes_are_named(tmp_path):
    write_png(tmp_path / 'images/1.png', picture(8, 6))
    write_png(tmp_path / 'images/2.png', picture(8, 7))
    with pytest.raises(ValueError, match=r'1\.png is 8x6 pixels, .*2\.png of the same clip 8x7 \(width x height\)'):
        unlabelled_clips(tmp_path, LOAD[:1])[0]


def test_single_images_are_not_clips():
    with pytest.raises(ValueError, match=r'00\.png comes from a data set of single images: use LoadImage'):
        LoadClip()(dict(img_path='00.png'))


def test_clips_that_are_not_there_say_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match='game_clips/train does not exist.*udass streets --clips'):
        StreetsClips(data_root=str(tmp_path), domain='game', split='train')
    write_png(tmp_path / 'game_clips/train/0000/flow/1.png', picture(4, 4))
    with pytest.raises(FileNotFoundError, match=r'no <clip>/images/\*\.png in .*udass streets --clips'):
        StreetsClips(data_root=str(tmp_path), domain='game', split='train')
