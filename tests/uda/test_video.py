"""The parts of the video methods: labels across time, mixing with motion, the target pass, class means."""
import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from tests.uda.small import FLOW_GUIDED, SEGMENTOR, TPS, VIDEO, batch, build, clips, data_of, video_domains
from udass.flow.warping import warp
from udass.uda.clip import IGNORE, Clip
from udass.uda.passes import Pass
from udass.uda.video import CentroidAlignment, CrossFramePass, CrossFramePseudoLabels, resize_clip

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
    scores = 4 * torch.randn(2, 3, 6, 8, generator=generator())
    label = CrossFramePseudoLabels()(scores, shift((6, 8), dx=2, batch=2))
    shares = scores.softmax(1)
    # What is at x now was at x + 2 then; beyond the border the border counts.
    expected = torch.cat([shares[..., 2:], shares[..., -1:], shares[..., -1:]], dim=-1).max(1)
    assert torch.equal(label.labels, expected.indices)
    torch.testing.assert_close(label.confidence, expected.values)
    assert torch.equal(label.weights, torch.ones(2, 6, 8))


def test_half_a_pixel_mixes_shares_not_scores():
    scores = torch.tensor([[[[0.0, 10.0]], [[1.0, 0.0]]]])  # (1, 2, 1, 2)
    label = CrossFramePseudoLabels()(scores, shift((1, 2), dx=0.5))
    assert label.confidence[0, 0, 0].item() == pytest.approx((0.26894 + 0.9999546) / 2, abs=1e-4)


def test_margins_have_no_weight():
    valid = torch.tensor([[[[True, False]]]])
    assert CrossFramePseudoLabels()(torch.randn(1, 2, 1, 2), valid=valid).weights.tolist() == [[[1, 0]]]


class PixelTeacher:
    """Scores are the colours of frame 0, plus the flow's dx in the third class: mirroring shows in both."""

    def encode_decode(self, inputs, metas, flow):
        return torch.cat([inputs[:, 0, :2], flow[:, :1], inputs[:, 0, 2:]], dim=1)


def test_the_mirrored_teacher_sees_mirrored_motion():
    model, _ = build(TPS, FLOW_GUIDED)
    frames = torch.rand(2, 2, 3, 8, 8, generator=generator())
    flow = torch.rand(2, 2, 8, 8, generator=generator(1))
    seen = []
    model.teacher.encode_decode = lambda inputs, metas, flow: (
        seen.append((inputs, flow)), PixelTeacher().encode_decode(inputs, metas, flow))[1]
    mirrored = model.past_scores(frames, flow)
    model.pseudo_labels.flip = False
    plain = model.past_scores(frames, flow)
    torch.testing.assert_close(seen[0][0], seen[1][0].flip(-1))
    torch.testing.assert_close(mirrored[:, [0, 1, 3]], plain[:, [0, 1, 3]])
    torch.testing.assert_close(mirrored[:, 2], -plain[:, 2])


def test_a_target_clip_gets_labels_of_its_first_two_frames():
    model, _ = build(VIDEO, FLOW_GUIDED)
    loaded = clips(2, frames=4, labelled=False, seed=3)
    past = 3 * torch.randn(2, 4, 64, 64, generator=generator())
    model.past_scores = lambda frames, flow: past
    clip = model.pseudo_labelled_clip(loaded)
    flow = torch.stack([sample.flow.data for sample in loaded['data_samples']]).unflatten(1, (3, 2))
    assert torch.equal(clip.labels[:, 0], warp(past.softmax(1), flow[:, 1]).argmax(1))
    assert torch.equal(clip.labels[:, 1], past.argmax(1))
    assert (clip.labels[:, 2:] == IGNORE).all() and (clip.weights[:, 2:] == 0).all()
    assert torch.equal(clip.flow, flow)


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


def test_decoder_features_of_both_frames_are_mixed_within_their_own_masks():
    model, optimizer = build(dict(VIDEO, feature_mixing=dict(type='FeatureMixing', own_share=0.0)), FLOW_GUIDED)
    model.train_step(data_of(model, 0), optimizer)
    called = []
    mix = model.feature_mixing.mix
    model.feature_mixing.mix = lambda network, others, masks: (called.append((others, masks)),
                                                               mix(network, others, masks))[1]
    pasted = []
    passes = model.mixed_passes
    model.mixed_passes = lambda *args: (pasted.append(item.pasted) or item for item in passes(*args))
    model.train_step(data_of(model, 1), optimizer)
    (others, masks), = called
    # The fusion layer is called for frame t first, then for t-1.
    assert len(others) == len(masks) == 2 and pasted[1].shape[1] == 2
    assert all(torch.equal(masks[frame], pasted[1][:, frame:frame + 1]) for frame in range(2))
    assert not torch.equal(masks[0], masks[1])


def test_a_batch_of_three_clips_equals_three_of_one():
    model, _ = build(dict(VIDEO, **RUNNING), FLOW_GUIDED)
    model.double().eval()
    whole = clips(3, frames=4, labelled=False, seed=8)
    together = model.pseudo_labelled_clip(whole)
    for i in range(3):
        alone = model.pseudo_labelled_clip({key: value[i:i + 1] for key, value in whole.items()})
        assert torch.equal(alone.labels[0], together.labels[i])
        torch.testing.assert_close(alone.confidence[0], together.confidence[i])
    frames = model.data_preprocessor.normalize(together.frames[:, :2])
    scores = model.student(frames, mode='tensor', flow=together.flow[:, 0])
    for i in range(3):
        torch.testing.assert_close(model.student(frames[i:i + 1], mode='tensor', flow=together.flow[i:i + 1, 0])[0],
                                   scores[i], rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------ the target pass

def test_the_target_pass_changes_both_frames_alike():
    clip = Clip(frames=torch.rand(1, 1, 3, 16, 16, generator=generator()).repeat(2, 2, 1, 1, 1) * 255,
                labels=torch.zeros(2, 2, 16, 16, dtype=torch.long), weights=torch.ones(2, 2, 16, 16))
    item = CrossFramePass(scale=0.2, photometric=dict(type='PhotometricChange', jitter_probability=1.0))(
        clip, generator())
    assert (item.name, item.scale, item.auxiliary) == ('cross_frame', 0.2, True)
    assert torch.equal(item.clip.frames[:, 0], item.clip.frames[:, 1])
    assert not torch.equal(item.clip.frames, clip.frames)


def test_rescaling_scales_size_and_motion():
    labels = torch.arange(4).reshape(1, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)
    clip = Clip(frames=torch.full((1, 2, 3, 16, 16), 7.0), labels=labels.repeat(1, 2, 1, 1),
                weights=torch.ones(1, 2, 16, 16), flow=shift((16, 16), dx=4, dy=-2)[:, None])
    item = CrossFramePass(rescale=(0.5, 0.5))(clip, generator())
    assert item.clip.size == (8, 8)
    torch.testing.assert_close(item.clip.flow[:, 0], shift((8, 8), dx=2, dy=-1))
    assert torch.equal(item.clip.labels, clip.labels[..., ::2, ::2])
    back = resize_clip(item.clip, (16, 24))
    torch.testing.assert_close(back.flow[:, 0], shift((16, 24), dx=6, dy=-2))
    sizes = {CrossFramePass(rescale=(0.8, 1.2))(clip, generator(seed)).clip.size[0] for seed in range(60)}
    assert min(sizes) == 13 and max(sizes) == 19


@pytest.mark.parametrize('arguments', [dict(scale=0), dict(rescale=(1.2, 0.8)), dict(rescale=(0, 1))])
def test_impossible_target_passes_are_refused(arguments):
    with pytest.raises(ValueError, match='scale is a factor of the loss'):
        CrossFramePass(**arguments)


def test_the_source_takes_the_colours_of_the_target():
    model, _ = build(VIDEO, FLOW_GUIDED)
    source, target = (model.labelled_clip(clips(number, seed=seed)) for number, seed in ((3, 0), (2, 1)))
    target = target.with_frames(target.frames / 2 + 60)
    matched = model.in_colours_of(source, target)
    for i in range(3):
        for frame in matched.frames[i]:
            for channel in range(3):
                expected = target.frames[i % 2, 0, channel].flatten().sort().values
                assert (frame[channel].flatten().sort().values - expected).abs().mean() < 1
    assert torch.equal(matched.labels, source.labels)


# ------------------------------------------------------------------ class means

def test_equal_class_means_cost_nothing():
    scores = torch.randn(2, 4, 8, 8, generator=generator(), requires_grad=True)
    alignment = CentroidAlignment(weight=0.01)
    source = alignment.source_centroids(scores, scores.argmax(1))
    assert not source.requires_grad
    loss = alignment.loss(source, [scores])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-7) and torch.isfinite(scores.grad).all()


def test_a_class_that_one_domain_lacks_keeps_the_loss_finite():
    alignment = CentroidAlignment(weight=1.0)
    source_scores = torch.randn(1, 4, 8, 8, generator=generator()) + torch.tensor([9., 0, 0, 0]).reshape(1, 4, 1, 1)
    target_scores = torch.randn(1, 4, 8, 8, generator=generator(1), requires_grad=True)
    source = alignment.source_centroids(source_scores, source_scores.argmax(1))
    assert (source[1:] == 0).all() and (source[0] != 0).all()
    loss = alignment.loss(source, [target_scores])
    loss.backward()
    assert loss.item() > 0 and torch.isfinite(target_scores.grad).all() and (target_scores.grad != 0).any()


def test_labels_meet_scores_at_the_size_of_the_scores():
    scores = torch.zeros(1, 2, 2, 2)
    scores[0, 1, :, 1] = 5.0
    scores[0, 0, :, 0] = 3.0
    labels = torch.tensor([[[0, 0, 1, 1]] * 4])
    labels[:, :2] = 255
    few = CentroidAlignment().source_centroids(scores.repeat(6, 1, 1, 1), labels.repeat(6, 1, 1))
    # The upper half is ignored; six of each class are left, more than the five that a class needs.
    assert few.tolist() == [[3, 0], [0, 5]]


def test_only_the_target_pass_is_aligned_and_its_factor_is_its_own():
    logs = {}
    for weight in (0.0, 1.0):
        model, optimizer = build(dict(VIDEO, centroid_alignment=dict(type='CentroidAlignment', weight=weight)),
                                 FLOW_GUIDED, seed=1)
        log = model.train_step(data_of(model, 0), optimizer)
        assert [key for key in log if 'centroids' in key] == ['cross_frame.loss_centroids']
        scale = {'source': 1.0, 'cross_frame': 0.2, 'mix': 0.2}
        total = sum(scale[key.split('.')[0]] * value for key, value in log.items() if key.endswith('loss_ce'))
        torch.testing.assert_close(log['loss'], total + log['cross_frame.loss_centroids'])
        logs[weight] = log
    assert logs[0.0]['cross_frame.loss_centroids'] == 0 < logs[1.0]['cross_frame.loss_centroids']


def test_two_intervals_join_frame_t_with_two_frames():
    model, optimizer = build(dict(VIDEO, centroid_alignment=dict(type='CentroidAlignment', intervals=2)), FLOW_GUIDED)
    shown = []
    forward = model.student.forward
    model.student.forward = lambda inputs, *args, **options: (
        shown.append((tuple(inputs.shape), tuple(options['flow'].shape))), forward(inputs, *args, **options))[1]
    data = data_of(model, 0)
    model.train_step(data, optimizer)
    assert shown[1] == ((2, 3, 3, 64, 64), (2, 2, 2, 64, 64))
    assert shown[0] == shown[2] == ((2, 2, 3, 64, 64), (2, 2, 64, 64))


def test_each_interval_is_joined_by_itself():
    model, _ = build(dict(VIDEO, **RUNNING), FLOW_GUIDED)
    student = model.double().student.eval()
    torch.nn.init.normal_(student.fusion.weight)
    clip = model.pseudo_labelled_clip(clips(2, frames=4, labelled=False, seed=8)).select([0, 1, 3])
    frames = model.data_preprocessor.normalize(clip.frames)
    samples = Pass('cross_frame', clip).data_samples()
    outputs = student(frames, samples, mode='outputs', flow=clip.flow)
    alone = [student(frames[:, [0, frame]], mode='tensor', flow=clip.flow[:, frame - 1]) for frame in (1, 2)]
    torch.testing.assert_close(outputs.scores, alone[0])
    torch.testing.assert_close(outputs.further[0], alone[1])
    assert len(outputs.further) == 1 and not torch.equal(*alone)


# ------------------------------------------------------------------ the whole

def test_video_methods_say_what_they_need():
    with pytest.raises(ValueError, match='set pseudo_labels to CrossFramePseudoLabels'):
        build(dict(VIDEO, pseudo_labels=dict(type='ConfidencePseudoLabels')), FLOW_GUIDED)
    with pytest.raises(ValueError, match='scores joined along the flow, which a SlidingEncoderDecoder does not have'):
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


def test_templates_of_clips_survive_a_checkpoint():
    model, optimizer = build(VIDEO, FLOW_GUIDED)
    model.train_step(data_of(model, 0), optimizer)
    other = MODELS.build(dict(VIDEO, student=copy.deepcopy(FLOW_GUIDED)))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(other.mixing.bank.source.flow, model.mixing.bank.source.flow)
    assert other.mixing.bank.target.frames.shape[1] == 2
