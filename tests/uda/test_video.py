"""The parts of the video methods: labels across time, mixing with motion, the target pass, class means."""

import copy
from dataclasses import replace

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.uda.small import FLOW_GUIDED, SEGMENTOR, TPS, VIDEO, batch, build, clips, data_of, video_domains
from udass.flow.warping import resize_flow, warp
from udass.io.labels import IGNORE_INDEX
from udass.models.segmentors.logit_fusion import resize_logits
from udass.uda import CentroidAlignment, CrossFramePass, CrossFramePseudoLabels
from udass.uda.clip import Clip, Pass

RUNNING = dict(teacher_batch_statistics=False, ema=dict(type='EMA', alpha=0.9, copy_buffers=True))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shift(size, dx=0.0, dy=0.0, batch=1):
    """The same motion everywhere."""
    return torch.tensor([float(dx), float(dy)]).reshape(1, 2, 1, 1).expand(batch, 2, *size).clone()


# ------------------------------------------------------------------ labels across time


def test_labels_are_those_of_the_warped_softmax():
    logits = 4 * torch.randn(2, 3, 6, 8, generator=generator())
    label = CrossFramePseudoLabels()(logits, shift((6, 8), dx=2, batch=2))
    probabilities = logits.softmax(1)
    # What is at x now was at x + 2 then; beyond the border the border counts.
    expected = torch.cat([probabilities[..., 2:], probabilities[..., -1:], probabilities[..., -1:]], dim=-1).max(1)
    assert torch.equal(label.labels, expected.indices)
    torch.testing.assert_close(label.confidence, expected.values)
    assert torch.equal(label.weights, torch.ones(2, 6, 8))


def test_half_a_pixel_mixes_probabilities_not_logits():
    logits = torch.tensor([[[[0.0, 10.0]], [[1.0, 0.0]]]])  # (1, 2, 1, 2)
    label = CrossFramePseudoLabels()(logits, shift((1, 2), dx=0.5))
    assert label.confidence[0, 0, 0].item() == pytest.approx((0.26894 + 0.9999546) / 2, abs=1e-4)


def test_margins_have_no_weight():
    valid = torch.tensor([[[[True, False]]]])
    assert CrossFramePseudoLabels()(torch.randn(1, 2, 1, 2), valid=valid).weights.tolist() == [[[1, 0]]]


def pixel_logits(inputs, flow, auxiliary):
    """Logits are the colours of frame 0, plus the flow's dx in the third class: mirroring shows in both."""
    return {'decode': torch.cat([inputs[:, 0, :2], flow[:, 0, :1], inputs[:, 0, 2:]], dim=1)}, []


def test_the_mirrored_teacher_sees_mirrored_motion():
    model, _ = build(TPS, FLOW_GUIDED)
    frames = torch.rand(2, 2, 3, 8, 8, generator=generator())
    flow = torch.rand(2, 1, 2, 8, 8, generator=generator(1))
    seen, logits = [], {}
    model.teacher.clip_logits = lambda inputs, flow, auxiliary: (
        seen.append(inputs),
        pixel_logits(inputs, flow, auxiliary),
    )[1]
    for flip in (True, False):
        model.pseudo_labels.draw_flip = lambda generator, flip=flip: flip
        logits[flip] = model.past_logits(frames, flow)['decode']
    torch.testing.assert_close(seen[0], seen[1].flip(-1))
    torch.testing.assert_close(logits[True][:, [0, 1, 3]], logits[False][:, [0, 1, 3]])
    torch.testing.assert_close(logits[True][:, 2], -logits[False][:, 2])


def test_the_past_pair_is_mirrored_with_its_probability():
    labels, random = CrossFramePseudoLabels(flip_probability=0.5), generator()
    drawn = [labels.draw_flip(random) for _ in range(400)]
    assert 160 < sum(drawn) < 240
    assert not CrossFramePseudoLabels().draw_flip(generator()) and CrossFramePseudoLabels(1.0).draw_flip(generator())
    with pytest.raises(ValueError, match='flip_probability is in'):
        CrossFramePseudoLabels(flip_probability=2)


def test_a_target_clip_gets_labels_of_its_first_two_frames():
    model, _ = build(VIDEO, FLOW_GUIDED)
    loaded = clips(2, frames=4, labelled=False, seed=3)
    main, other = (3 * torch.randn(2, 4, 16, 16, generator=generator(seed)) for seed in range(2))
    model.past_logits = lambda frames, flow: {'decode': main, 'aux': other}
    clip = model.pseudo_labelled_clip(loaded)
    flow = torch.stack([sample.flow for sample in loaded['data_samples']])
    past = resize_logits(main, (64, 64))
    assert torch.equal(clip.labels[:, 0], warp(past.softmax(1), flow[:, 1]).argmax(1))
    assert torch.equal(clip.labels[:, 1], past.argmax(1))
    assert (clip.labels[:, 2:] == IGNORE_INDEX).all() and (clip.weights[:, 2:] == 0).all()
    assert torch.equal(clip.flow, flow)
    # Of each decoder's own logits, at their size.
    cells = [warp(logits.softmax(1), resize_flow(flow[:, 1], (16, 16))).argmax(1) for logits in (main, other)]
    assert torch.equal(clip.cell_labels, torch.stack(cells, dim=1))


def test_the_log_has_the_confidence_of_frame_t():
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    seen = []
    labelled = model.pseudo_labelled_clip
    model.pseudo_labelled_clip = lambda data: (seen.append(labelled(data)), seen[-1])[1]
    log = model.train_step(data_of(model, 0), optimizer)
    assert log['confidence'] == seen[0].confidence[:, 0].mean() > 0.25  # four classes


def test_with_a_longer_past_the_previous_frame_is_segmented_by_itself():
    model, _ = build(VIDEO, FLOW_GUIDED)
    loaded = clips(2, frames=4, labelled=False, seed=3)
    for sample in loaded['data_samples']:
        sample.set_metainfo(dict(frame_paths=['5.png', '4.png', '3.png', '2.png']))
    own = torch.randn(2, 4, 64, 64, generator=generator(5))
    seen = []
    model.teacher_logits = lambda frames: (seen.append(frames), own)[1]
    clip = model.pseudo_labelled_clip(loaded)
    assert torch.equal(clip.labels[:, 1], own.argmax(1)) and torch.equal(seen[0], clip.frames[:, 1])


def test_a_target_without_past_pair_is_refused():
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    data = dict(video_domains(), target=clips(2, labelled=False))
    with pytest.raises(ValueError, match='target gave clips of 2 frames and their flow; .* past=1'):
        model.train_step(data, optimizer)


def test_a_source_without_motion_is_refused():
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    with pytest.raises(ValueError, match='the source gave images, or clips without flow'):
        model.train_step(dict(video_domains(), source=batch(2)), optimizer)


def test_a_source_with_one_label_per_clip_is_not_mixed():
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    data = dict(video_domains(), source=clips(2, labelled_frames=1, img_path='a.png'))
    with pytest.raises(ValueError, match='a.png: only frame t of this source clip has a label'):
        model.train_step(data, optimizer)


def test_decoder_features_of_frame_t_alone_are_mixed():
    model, optimizer = build(dict(VIDEO, feature_mixing=dict(type='FeatureMixing', mix_ratio=0.0)), FLOW_GUIDED)
    model.train_step(data_of(model, 0), optimizer)
    called, pasted, fused = [], [], []
    mix, passes = model.feature_mixing.mix, model.mixed_passes
    model.feature_mixing.mix = lambda network, others, masks: (
        called.append((others, masks)),
        mix(network, others, masks),
    )[1]
    model.mixed_passes = lambda *args, **options: (
        pasted.append(item.pasted) or item for item in passes(*args, **options)
    )
    # After the hooks that mix.
    fuse_layer = model.student.decode_head.fuse_layer
    fuse_layer.register_forward_hook(lambda module, args, result: fused.append(args[0].detach()))
    model.train_step(data_of(model, 1), optimizer)
    ((others, masks),) = called
    assert len(others) == 2 and len(masks) == 1 and torch.equal(masks[0], pasted[1][:, :1])
    # The fusion layer is called for frame t first, then for t-1: in the last two calls, those of TST.
    inside = masks[0][..., ::4, ::4].expand_as(others[0])
    assert torch.equal(fused[-2][inside], others[0][inside]) and not torch.equal(fused[-1], others[1])


def test_a_batch_of_three_clips_equals_three_of_one():
    model, _ = build(dict(VIDEO, **RUNNING), FLOW_GUIDED)
    model.double().eval()
    whole = clips(3, frames=4, labelled=False, seed=8)
    together = model.pseudo_labelled_clip(whole)
    for i in range(3):
        alone = model.pseudo_labelled_clip({key: value[i : i + 1] for key, value in whole.items()})
        assert torch.equal(alone.labels[0], together.labels[i])
        torch.testing.assert_close(alone.confidence[0], together.confidence[i])
    frames = model.data_preprocessor.normalize(together.frames[:, :2])
    logits = model.student(frames, mode='tensor', flow=together.flow[:, :1])
    for i in range(3):
        torch.testing.assert_close(
            model.student(frames[i : i + 1], mode='tensor', flow=together.flow[i : i + 1, :1])[0],
            logits[i],
            rtol=1e-9,
            atol=1e-9,
        )


# ------------------------------------------------------------------ the target pass


def test_the_student_sees_both_frames_augmented_alike_and_the_template_as_it_is():
    model, optimizer = build(
        dict(VIDEO, target_augmentation=dict(type='StrongAugmentation', jitter_probability=1.0)), FLOW_GUIDED
    )
    data = data_of(model, 0)
    for name in ('source', 'target'):
        for clip in data[name]['inputs']:
            clip[:] = clip[:1]
    panels = {}
    model.pass_hooks.append(panels.__setitem__)
    model.train_step(data, optimizer)
    augmented, plain = panels['cross_frame'].frames, panels['target'].frames[:, :2]
    assert torch.equal(augmented[:, 0], augmented[:, 1]) and not torch.equal(augmented, plain)
    assert torch.equal(model.mixing.bank.target.frames, plain)
    # ClassMix, as there is no template yet: what is not of the source is of the augmented target.
    mixed, source = panels['mix'].frames, panels['source'].frames
    assert ((mixed == source) | (mixed == augmented)).all()


def cells(labels):
    """A clip of one frame with labels at a quarter of its size."""
    frames = torch.full((1, 2, 3, 64, 64), 7.0)
    return Clip(
        frames=frames,
        labels=torch.full((1, 2, 64, 64), IGNORE_INDEX),
        weights=torch.ones(1, 2, 64, 64),
        flow=shift((64, 64), dx=4, dy=-2)[:, None],
        cell_labels=labels,
    )


def test_the_target_pass_learns_labels_at_the_size_of_the_logits():
    labels = torch.randint(0, 4, (1, 2, 16, 16), generator=generator())
    item = CrossFramePass(scale=0.2)(cells(labels), generator())
    assert (item.name, item.scale, item.auxiliary) == ('cross_frame', 0.2, True)
    assert item.clip.size == (64, 64) and torch.equal(item.clip.labels, labels[:, :1])
    assert item.clip.weights.shape == (1, 1, 16, 16) and torch.equal(item.auxiliary_labels, labels[:, 1:])
    whole = CrossFramePass(full_size=True)(cells(labels), generator())
    assert whole.clip.labels.shape == whole.clip.weights.shape == (1, 1, 64, 64) and whole.auxiliary_labels is None


def test_rescaling_scales_size_and_motion():
    item = CrossFramePass(rescale=(0.5, 0.5))(cells(torch.zeros(1, 1, 16, 16, dtype=torch.long)), generator())
    assert item.clip.size == (32, 32) and item.clip.labels.shape == (1, 1, 16, 16)
    torch.testing.assert_close(item.clip.flow[:, 0], shift((32, 32), dx=2, dy=-1))
    back = item.clip.resize_frames((64, 96), align_corners=True)
    torch.testing.assert_close(back.flow[:, 0], shift((64, 96), dx=6, dy=-2))
    whole = cells(torch.zeros(1, 1, 16, 16, dtype=torch.long))
    sizes = {CrossFramePass(rescale=(0.8, 1.2))(whole, generator(seed)).clip.size for seed in range(60)}
    # Multiples of 8 from 0.8 x 64 = 51.2 to 1.2 x 64 = 76.8.
    assert sizes == {(side, side) for side in (48, 56, 64, 72, 80)}


@pytest.mark.parametrize('arguments', [dict(scale=0), dict(rescale=(1.2, 0.8)), dict(rescale=(0, 1))])
def test_impossible_target_passes_are_refused(arguments):
    with pytest.raises(ValueError, match='scale must be larger than 0'):
        CrossFramePass(**arguments)


def test_the_source_takes_the_colours_of_the_target():
    model, _ = build(VIDEO, FLOW_GUIDED)
    source, target = (model.labelled_clip(clips(number, seed=seed)) for number, seed in ((3, 0), (2, 1)))
    target = replace(target, frames=target.frames / 2 + 60)
    matched = model.in_colours_of(source, target)
    for i in range(3):
        for frame in matched.frames[i]:
            for channel in range(3):
                expected = target.frames[i % 2, 0, channel].flatten().sort().values
                assert (frame[channel].flatten().sort().values - expected).abs().mean() < 1
    assert torch.equal(matched.labels, source.labels)


# ------------------------------------------------------------------ class means


def test_equal_class_means_cost_nothing():
    logits = torch.randn(2, 4, 8, 8, generator=generator(), requires_grad=True)
    adaptation_loss = CentroidAlignment(weight=0.01)
    source = adaptation_loss.source_centroids(logits, logits.argmax(1))
    loss = adaptation_loss(source, [logits])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-7) and torch.isfinite(logits.grad).all()


def test_a_class_that_one_domain_lacks_keeps_the_loss_finite():
    adaptation_loss = CentroidAlignment(weight=1.0)
    source_logits = torch.randn(1, 4, 8, 8, generator=generator()) + torch.tensor([9.0, 0, 0, 0]).reshape(1, 4, 1, 1)
    target_logits = torch.randn(1, 4, 8, 8, generator=generator(1), requires_grad=True)
    source = adaptation_loss.source_centroids(source_logits, source_logits.argmax(1))
    assert (source[1:] == 0).all() and (source[0] != 0).all()
    loss = adaptation_loss(source, [target_logits])
    loss.backward()
    assert loss.item() > 0 and torch.isfinite(target_logits.grad).all() and (target_logits.grad != 0).any()


def test_labels_are_resized_to_the_logits():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 1] = 5.0
    logits[0, 0, :, 0] = 3.0
    labels = torch.tensor([[[0, 0, 1, 1]] * 4])
    labels[:, :2] = 255
    few = CentroidAlignment().source_centroids(logits.repeat(6, 1, 1, 1), labels.repeat(6, 1, 1))
    # The upper half is ignored; six of each class are left, more than the five that a class needs.
    assert few.tolist() == [[3, 0], [0, 5]]


def test_only_the_target_pass_is_aligned_and_its_factor_is_its_own():
    logs = {}
    for weight in (0.0, 1.0):
        model, optimizer = build(
            dict(VIDEO, centroid_alignment=dict(type='CentroidAlignment', weight=weight)), FLOW_GUIDED, seed=1
        )
        log = model.train_step(data_of(model, 0), optimizer)
        assert [key for key in log if 'centroids' in key] == ['cross_frame.loss_centroids']
        scale = {'source': 1.0, 'cross_frame': 0.2, 'mix': 0.2}
        total = sum(scale[key.split('.')[0]] * value for key, value in log.items() if key.endswith('loss_ce'))
        torch.testing.assert_close(log['loss'], total + log['cross_frame.loss_centroids'])
        logs[weight] = log
    assert logs[0.0]['cross_frame.loss_centroids'] == 0 < logs[1.0]['cross_frame.loss_centroids']


def test_the_second_interval_is_a_pair_of_plain_frames():
    model, optimizer = build(
        dict(
            VIDEO,
            centroid_alignment=dict(type='CentroidAlignment', intervals=2),
            target_augmentation=dict(type='StrongAugmentation'),
        ),
        FLOW_GUIDED,
    )
    calls = []
    forward = model.student.forward
    model.student.forward = lambda inputs, *args, **options: (
        calls.append((inputs, options)),
        forward(inputs, *args, **options),
    )[1]
    data = data_of(model, 0)
    model.train_step(data, optimizer)
    assert [('extra_clip' in options) for _, options in calls] == [False, True, False]
    inputs, options = calls[1]
    extra_inputs, extra_flow = options['extra_clip']
    target = model.data_preprocessor.normalize(model.data_preprocessor.pixels(data['target'])[0])
    assert torch.equal(extra_inputs, target[:, [0, 3]]) and not torch.equal(inputs, target[:, :2])
    loaded = torch.stack([sample.flow for sample in data['target']['data_samples']])
    assert torch.equal(options['flow'], loaded[:, :1]) and torch.equal(extra_flow, loaded[:, 2:])


def test_each_pair_is_segmented_by_itself():
    model, _ = build(dict(VIDEO, **RUNNING), FLOW_GUIDED)
    student = model.double().student.eval()
    torch.nn.init.normal_(student.fusion.weight)
    clip = model.pseudo_labelled_clip(clips(2, frames=4, labelled=False, seed=8)).select_frames([0, 1, 3])
    frames = model.data_preprocessor.normalize(clip.frames)
    samples = Pass('cross_frame', clip).data_samples()
    pairs = [(frames[:, [0, frame]], clip.flow[:, frame - 1 : frame]) for frame in (1, 2)]
    outputs = student(pairs[0][0], samples, mode='outputs', flow=pairs[0][1], extra_clip=pairs[1])
    alone = [student(frames, mode='tensor', flow=flow) for frames, flow in pairs]
    torch.testing.assert_close(outputs.logits, alone[0])
    torch.testing.assert_close(outputs.extra_logits, alone[1])
    assert not torch.equal(*alone)


def test_two_intervals_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match='set rescale=None, or intervals=1'):
        build(
            dict(
                VIDEO,
                centroid_alignment=dict(type='CentroidAlignment', intervals=2),
                cross_frame=dict(type='CrossFramePass', rescale=(0.8, 1.2)),
            ),
            FLOW_GUIDED,
        )


# ------------------------------------------------------------------ the whole


def test_video_methods_say_what_they_need():
    with pytest.raises(ValueError, match='set pseudo_labels to CrossFramePseudoLabels'):
        build(dict(VIDEO, pseudo_labels=dict(type='ConfidencePseudoLabels')), FLOW_GUIDED)
    with pytest.raises(ValueError, match='logits fused along the flow, which a SlidingEncoderDecoder does not have'):
        build(VIDEO, SEGMENTOR)


def test_a_network_without_flow_is_adapted_too():
    model, optimizer = build(dict(VIDEO, centroid_alignment=None), SEGMENTOR)
    log = [model.train_step(data_of(model, seed), optimizer) for seed in range(2)][-1]
    assert {key.split('.')[0] for key in log if '.' in key} == {'source', 'cross_frame', 'tss', 'tst'}


def test_auxiliary_heads_learn_from_whole_clips_only():
    segmentor = copy.deepcopy(FLOW_GUIDED)
    segmentor['auxiliary_head'] = dict(type='DLV2Head', in_channels=8, in_index=2, num_classes=4, dilations=(1, 2))
    model, optimizer = build(VIDEO, segmentor)
    log = [model.train_step(data_of(model, seed), optimizer) for seed in range(2)][-1]
    assert {key.split('.')[0] for key in log if '.aux.' in key} == {'source', 'cross_frame'}


def test_the_teacher_of_tps_is_the_student():
    model, optimizer = build(TPS, FLOW_GUIDED)
    for seed in range(3):
        before = copy.deepcopy(model.student.state_dict())
        model.train_step(video_domains(seed), optimizer)
        for name, value in model.teacher.named_parameters():
            assert torch.equal(value, before[name]), name
