"""QuadMix on clips: what is pasted on what, and the motion that comes along."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from tests.uda.small import FLOW_GUIDED, VIDEO, build, data_of
from tests.uda.test_video import generator, shift
from udass.flow.warping import warp
from udass.streets import CAMERA, GAME, render_clip
from udass.uda.clip import Clip
from udass.uda.mixing.long_tail import LongTail
from udass.uda.mixing.video_quadmix import VideoQuadMix


def striped_clip(value, stripes, confidence=None, motion=0.0, size=(4, 8)):
    """A clip of two frames; ``stripes`` gives the class of each column of frame t and of frame t-1."""
    labels = torch.tensor(stripes)[None, :, None].expand(1, 2, *size).clone()
    confidences = None if confidence is None else torch.full(labels.shape, confidence)
    return Clip(
        frames=torch.full((1, 2, 3, *size), float(value)),
        labels=labels,
        confidence=confidences,
        weights=torch.ones(labels.shape),
        flow=shift(size, dx=motion)[:, None],
    )


def mix(mixing, templates, current, long_tail=None, classes=6):
    """Passes of the second iteration; all classes of the template source are chosen that may be."""
    mixing(*templates, classes, 0, generator())
    return mixing(*current, classes, 1, generator(), long_tail)


def one_class(number):
    return torch.eye(6, dtype=torch.bool)[number][None]


RARE = dict(classes=list('abcdef'), rare_classes=[dict(name='c'), dict(name='f')])


def test_clips_are_mixed_in_four_directions_with_their_motion():
    mixing = VideoQuadMix(tss_scale=1.0, tst_scale=0.2, source_classes=1, paste_rare_classes=False)
    old_source = striped_clip(1, [[0, 0, 5, 5, 5, 5, 5, 5], [0, 0, 0, 5, 5, 5, 5, 5]], motion=1)
    old_target = striped_clip(2, [[1] * 4 + [3] * 4] * 2, confidence=0.95, motion=2)
    source, target = striped_clip(3, [[4] * 8] * 2, motion=3), striped_clip(4, [[4] * 8] * 2, 0.5, motion=4)
    mixing.draw_classes = lambda *args: (one_class(0), one_class(3))
    first, second = mix(mixing, (old_source, old_target), (source, target))
    assert [(item.name, item.scale, item.auxiliary) for item in (first, second)] == [
        ('tss', 1.0, False),
        ('tst', 0.2, False),
    ]
    for item, under in ((first, 3), (second, 4)):
        rows = item.clip.frames[0, :, 0, 0].tolist()
        assert rows == [[1, 1, under, under, 2, 2, 2, 2], [1, 1, 1, under, 2, 2, 2, 2]]
        # Motion follows the masks of frame t-1.
        assert item.clip.flow[0, 0, 0, 0].tolist() == [1, 1, 1, under, 2, 2, 2, 2]
        assert item.clip.labels[0, 0, 0].tolist() == [0, 0, 4, 4, 3, 3, 3, 3]
        assert item.pasted[0, :, 0].int().tolist() == [[1, 1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1, 1, 1]]
        assert item.clip.no_flow is None


def test_long_tail_images_lie_under_the_template_target_in_both_mixtures():
    mixing = VideoQuadMix(source_classes=1, paste_rare_classes=False)
    old_source = striped_clip(1, [[0] * 2 + [5] * 6] * 2, motion=1)
    old_target = striped_clip(2, [[1] * 4 + [3] * 4] * 2, 0.95, motion=2)
    source, target = striped_clip(3, [[4] * 8] * 2, motion=3), striped_clip(4, [[4] * 8] * 2, 0.5, motion=4)
    mixing.draw_classes = lambda *args: (one_class(0), one_class(3))
    still = striped_clip(9, [[4, 2, 2, 4, 2, 2, 4, 4]] * 2)
    # It is still, and takes no part in the flow.
    still = replace(still, flow=None)
    long_tail = LongTail(clips=[[still]], classes=[[torch.tensor([2])]])
    for item, under in zip(mix(mixing, (old_source, old_target), (source, target), long_tail), (3, 4), strict=True):
        for frame in item.clip.frames[0, :, 0, 0]:
            assert frame.tolist() == [1, 9, 9, under, 2, 2, 2, 2]
        assert item.clip.flow[0, 0, 0, 0].tolist() == [1, 1, under, under, 2, 2, 2, 2]
        # Also where the template target covers it, as published.
        assert item.clip.no_flow[0, 0, 0].int().tolist() == [0, 1, 1, 0, 1, 1, 0, 0]
        assert item.pasted[0, 0, 0].int().tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


def test_long_tail_images_that_would_be_cut_are_refused():
    source, target = striped_clip(3, [[4] * 8] * 2), striped_clip(4, [[4] * 8] * 2, 0.5)
    still = replace(striped_clip(9, [[2] * 10] * 2, size=(4, 10)), flow=None)
    with pytest.raises(ValueError, match=r'\(4, 10\) pixels .* only \(4, 8\): give train_cfg.long_tail a pipeline'):
        tail = LongTail(clips=[[still]], classes=[[torch.tensor([2])]])
        mix(VideoQuadMix(paste_rare_classes=False), (source, target), (source, target), tail)


def test_rare_classes_are_pasted_besides_the_drawn_ones():
    mixing = VideoQuadMix(source_classes=1)
    mixing.use_metainfo(RARE)
    mixing.draw_classes = lambda *args: (one_class(0), one_class(3))
    old_source = striped_clip(1, [[0, 0, 1, 1, 2, 2, 5, 5]] * 2)
    old_target = striped_clip(2, [[4] * 8] * 2, confidence=1.0)
    source, target = striped_clip(3, [[4] * 8] * 2), striped_clip(4, [[4] * 8] * 2, 0.5)
    for item in mix(mixing, (old_source, old_target), (source, target)):
        assert item.pasted[0, 0, 0].int().tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match='has no rare_classes'):
        mixing.use_metainfo(dict(classes=list('ab')))


def test_classes_of_the_template_target_leave_out_the_drawn_ones_only():
    mixing = VideoQuadMix(source_classes=1, target_classes=6)
    mixing.use_metainfo(RARE)
    source = striped_clip(1, [[0, 0, 1, 1, 2, 2, 5, 5]] * 2)
    target = striped_clip(2, [[0, 1, 2, 3, 4, 5, 5, 5]] * 2, confidence=1.0)
    for seed in range(10):
        drawn, other = mixing.draw_classes(source, target, 6, generator(seed))
        assert drawn.sum() == 1 and torch.equal(other, ~drawn), 'rare classes may come from both'


def test_what_is_mixed_of_a_larger_source_is_a_window_of_the_target_size():
    mixing = VideoQuadMix(paste_rare_classes=False, window_rows=(1, 2))
    columns, rows = torch.arange(12.0), torch.arange(6.0)[:, None]
    wide = Clip(
        frames=(100 * rows + columns).expand(1, 2, 3, 6, 12),
        labels=torch.full((1, 2, 6, 12), 4),
        weights=torch.ones(1, 2, 6, 12),
        flow=shift((6, 12), dx=1)[:, None],
    )
    target = striped_clip(4, [[4] * 8] * 2, 0.5)
    seen = set()
    for seed in range(60):
        ((row, column),) = mixing.draw_windows(1, wide.size, target.size, generator(seed))
        seen.add((row, column))
        mixing.bank.clear()
        mixing.draw_windows = lambda *args, corner=(row, column): [corner]
        mixing(wide, target, 6, 0, generator())
        del mixing.draw_windows
        kept = mixing.bank.source
        assert kept.size == (4, 8) and kept.frames[0, 0, 0, 0, 0] == 100 * row + column
    assert {row for row, _ in seen} == {1, 2} and {column for _, column in seen} == set(range(5))
    assert VideoQuadMix().draw_windows(2, (4, 8), (4, 8), generator()) == [(0, 0)] * 2
    with pytest.raises(ValueError, match='only down to first row 0: choose other window_rows'):
        mixing.draw_windows(1, (4, 8), (4, 8), generator())


def street_clip(domain, seed):
    """A street of two frames with its exact flow, as the step has it, and where the flow is valid."""
    clip = render_clip(domain, np.random.default_rng((seed, 3)), (96, 192), 2)
    frames = torch.from_numpy(np.stack([clip.frames[1], clip.frames[0]])).permute(0, 3, 1, 2)[None].float()
    labels = torch.from_numpy(np.stack([clip.labels[1], clip.labels[0]]))[None].long()
    flow = torch.from_numpy(clip.flows[1, 0]).permute(2, 0, 1)[None, None].float()
    return Clip(
        frames=frames, labels=labels, weights=torch.ones(labels.shape), flow=flow, confidence=torch.ones(labels.shape)
    ), torch.from_numpy(clip.valid[1, 0])[None]


def shown_again(frames, flow):
    """Frame t-1 as seen from frame t, (H, W), its mean difference to frame t in grey levels."""
    return (warp(frames[:, 1], flow[:, 0]) - frames[:, 0]).abs().mean(1)[0]


def test_mixed_streets_keep_image_and_motion_together():
    """Frame t-1 warped by the mixed flow shows frame t, just as in the clip that the pixel comes from."""
    templates, current = [street_clip(GAME, 1), street_clip(CAMERA, 2)], [street_clip(GAME, 3), street_clip(CAMERA, 4)]
    mixing = VideoQuadMix(paste_rare_classes=False, target_classes=1)
    passes = mix(mixing, [clip for clip, _ in templates], [clip for clip, _ in current], classes=19)
    for item, under in zip(passes, current, strict=True):
        mixed, origins = item.clip, [under, *templates]
        # Where a pixel comes from: its label and colour are those of one of the clips.
        origin = torch.full(mixed.labels.shape, -1)
        for number, (clip, _) in enumerate(origins):
            origin[(mixed.frames == clip.frames).all(2) & (mixed.labels == clip.labels)] = number
        assert (origin >= 0).all() and len(origin.unique()) == 3
        here, there = origin[0]

        def of_origin(values, here=here):
            return torch.stack(values).gather(0, here[None])[0]

        # The flow is that of the clip that frame t-1 shows at the pixel, and leads to a pixel of this clip.
        arrives = warp(there[None, None].float(), mixed.flow[:, 0])[0, 0]
        inside = of_origin([valid[0] for _, valid in origins]) & (here == there) & (arrives == here)
        assert inside.float().mean() > 0.6 and len(here[inside].unique()) == 3
        error = shown_again(mixed.frames, mixed.flow)
        before = of_origin([shown_again(clip.frames, clip.flow) for clip, _ in origins])
        torch.testing.assert_close(error[inside], before[inside], atol=1e-2, rtol=0)
        # Measured: 10 grey levels, as in their own clips; 17 and 20 with the motion of what lies underneath.
        pasted = inside & (here > 0)
        lost = shown_again(mixed.frames, under[0].flow)
        assert error[pasted].mean() < 0.7 * lost[pasted].mean()


def test_templates_of_clips_survive_a_checkpoint():
    init_default_scope('mmseg')
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    model.train_step(data_of(model, 0), optimizer)
    other = MODELS.build(dict(VIDEO, student=copy.deepcopy(FLOW_GUIDED)))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(other.mixing.bank.source.flow, model.mixing.bank.source.flow)
    assert other.mixing.bank.target.frames.shape[1] == 2
