"""The step of every method on a tiny network: its passes, what it leaves alone, what it hands on."""

import copy
import weakref
from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from tests.uda.small import HRDA, METHODS, MIC, QUADMIX, SEGMENTOR, TEACHER, batch, build, domains, video_domains
from udass.models.windows import Box
from udass.uda import VideoAdapter
from udass.uda.clip import Clip, Pass, PassResult
from udass.uda.masking import BlockMasking
from udass.uda.mixing.feature_mixing import mix_features

PASSES = {
    'source_only': {'source'},
    'minent': {'source', 'target'},
    'advseg': {'source', 'target', 'discriminator'},
    'dacs': {'source', 'mix'},
    'daformer': {'source', 'mix'},
    'hrda': {'source', 'mix'},
    'mic': {'source', 'mix', 'masked'},
    'mic_mixed': {'source', 'mix', 'masked'},
    'quadmix': {'source', 'tss', 'tst', 'masked'},
    'quadmix_features': {'source', 'tss', 'tst', 'masked'},
    'vfmuda': {'source', 'mix', 'masked'},
    'vfmudapp': {'source', 'mix', 'masked', 'distilled_source', 'distilled_target'},
    'quadmix_vfmudapp': {'source', 'tss', 'tst', 'masked', 'distilled_source', 'distilled_target'},
    'tps': {'source', 'cross_frame'},
    'quadmix_video': {'source', 'cross_frame', 'tss', 'tst'},
    'quadmix_video_vit': {'source', 'cross_frame', 'tss', 'tst', 'masked'},
    'quadmix_video_cnn': {'source', 'cross_frame', 'tss', 'tst'},
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


class HalfPrecision(OptimWrapper):
    """Mixed precision as on a GPU, in bfloat16 on the CPU."""

    @contextmanager
    def optim_context(self, model):
        with torch.autocast('cpu', torch.bfloat16), super().optim_context(model):
            yield


def steps(model, optimizer, number=2):
    """Logs of a few iterations."""
    data = video_domains if isinstance(model, VideoAdapter) else domains
    return [model.train_step(data(seed), optimizer) for seed in range(number)]


def without_networks(*arguments):
    """In the place of `run_pass`."""
    return PassResult(torch.zeros(()), {})


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_the_student_with_its_passes(method):
    model, optimizer = build(*METHODS[method])
    before = copy.deepcopy(model.state_dict())
    log = steps(model, optimizer)[-1]
    assert {key.split('.')[0] for key in log if '.' in key} == PASSES[method]
    assert all(torch.isfinite(value) and value.ndim == 0 and not value.requires_grad for value in log.values())
    after = model.state_dict()
    # The state has no frozen network of a distillation.
    moved = {name for name in dict(model.named_parameters()).keys() & after if not after[name].equal(before[name])}
    # A bias in front of batch norm changes nothing, and little depends on the queries of an adapter before its weights
    # that start at 0 have left it.
    idle = ('scale_attention.embed_layers', 'smooth_convs', '.interactions.')
    trained = {
        name
        for name, value in model.named_parameters()
        if value.requires_grad and not any(part in name for part in idle)
    }
    assert trained <= moved, 'parameters that no loss reaches'
    assert not any(name.startswith('imagenet.') for name in moved)
    assert ('source.loss_feature_distance' in log) == (model.imagenet is not None)


@pytest.mark.parametrize('method', ['advseg', 'mic', 'quadmix_features', 'tps', 'quadmix_video_cnn'])
def test_methods_train_in_mixed_precision(method):
    model, optimizer = build(*METHODS[method])
    several = isinstance(optimizer, OptimWrapperDict)
    names = list(optimizer.keys()) if several else ['student']
    wrappers = {name: HalfPrecision(torch.optim.SGD(getattr(model, name).parameters(), lr=0.1)) for name in names}
    half = steps(model, OptimWrapperDict(**wrappers) if several else wrappers['student'])
    single, optimizer = build(*METHODS[method])
    full = steps(single, optimizer)
    assert all(value.dtype == torch.float32 for value in half[-1].values())
    # Nothing is drawn in the first iteration that rounding could change.
    first = {key: (half[0][key].item(), full[0][key].item()) for key in full[0] if key.startswith('source')}
    assert all(a == pytest.approx(b, rel=0.05, abs=0.02) for a, b in first.values()), first


def test_masking_alone_is_a_method():
    model, optimizer = build(dict(TEACHER, masking=dict(type='BlockMasking', block_size=8)))
    log = steps(model, optimizer)[-1]
    assert {key.split('.')[0] for key in log if '.' in key} == {'source', 'masked'}
    with pytest.raises(ValueError, match='this method pastes no long-tail images'):
        model.train_step(domains() | {'long_tail': batch(4, paste_class=3)}, optimizer)


def test_two_passes_of_one_name_are_refused():
    model, optimizer = build({})
    passes = model.passes
    model.passes = lambda *args: [*passes(*args), *passes(*args)]
    with pytest.raises(ValueError, match='two passes of one iteration are named source'):
        steps(model, optimizer)


def test_only_a_discriminator_keeps_logits():
    for method in ('mic', 'minent'):
        model, optimizer = build(*METHODS[method])
        kept = []
        run = model.run_pass

        def watched(*args, run=run, kept=kept):
            result = run(*args)
            kept.append(None if result.logits is None else weakref.ref(result.logits))
            return result

        model.run_pass = watched
        alive = []
        step = optimizer.step
        optimizer.step = (
            lambda *args, alive=alive, kept=kept, step=step: (  # called when all passes are done
                alive.extend(ref for ref in kept[:-1] if ref is not None and ref() is not None),
                step(*args),
            )
        )
        steps(model, optimizer, 1)
        assert len(kept) > 1 and not alive


def test_the_imagenet_network_is_the_start_of_the_students_backbone():
    model, optimizer = build(*METHODS['daformer'])
    start = copy.deepcopy(model.student.backbone.state_dict())
    steps(model, optimizer)
    assert all(torch.equal(value, start[name]) for name, value in model.imagenet.backbone.state_dict().items())
    assert not model.imagenet.training and {
        key.split('.')[1] for key in model.state_dict() if key.startswith('imagenet.')
    } == {'backbone'}


def test_the_feature_distance_joins_the_source_pass():
    """One backward: the gradients of the student are those of the sum of both losses."""
    components = dict(feature_distance=dict(type='FeatureDistance', weight=10.0))
    frozen = copy.deepcopy(SEGMENTOR)
    frozen['backbone'].update(drop_rate=0.0, drop_path_rate=0.0)
    frozen['decode_head']['dropout_ratio'] = 0.0
    model, optimizer = build(components, frozen)
    model.double()
    torch.nn.init.normal_(model.imagenet.backbone.layers[3][2].weight)
    data = batch(2)
    clip = model.labelled_clip(data)
    frames = model.data_preprocessor.normalize(clip.frames[:, 0])
    outputs = model.student(frames, Pass('source', clip).data_samples(), mode='outputs')
    distance = model.feature_distance(outputs.features[-1], model.imagenet.extract_feat(frames)[-1], clip.labels[:, 0])
    (outputs.losses['decode.loss_ce'] + distance).backward()
    expected = [parameter.grad.clone() for parameter in model.student.parameters()]
    model.student.zero_grad()
    before = [parameter.detach().clone() for parameter in model.student.parameters()]
    log = model.train_step(dict(source=data), optimizer)
    assert log['source.loss_feature_distance'].item() == pytest.approx(distance.item(), rel=1e-9) != 0
    for parameter, old, gradient in zip(model.student.parameters(), before, expected, strict=True):
        torch.testing.assert_close(old - parameter, 0.1 * gradient, rtol=1e-9, atol=1e-9)


def test_the_discriminator_learns_from_logits_of_this_iteration():
    model, optimizer = build(*METHODS['advseg'])
    model.student.eval()  # nothing random: its logits can be computed again
    start, discriminator = copy.deepcopy(model.student), copy.deepcopy(model.adaptation_loss)
    data = domains()
    log = model.train_step(data, optimizer)
    for domain, number in (('source', 0), ('target', 1)):
        frames = model.data_preprocessor.normalize(model.unlabelled_clip(data[domain]).frames[:, 0])
        logits = torch.nn.functional.interpolate(start(frames, mode='tensor'), size=(64, 64), mode='bilinear')
        expected = (discriminator(logits) - number).square().mean() / 2
        assert log[f'discriminator.{domain}'].item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(value.grad is None for value in model.student.parameters())
    for parameter, before in zip(model.adaptation_loss.parameters(), discriminator.parameters(), strict=True):
        assert not torch.equal(parameter, before)
    only_one = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match='optimizers of student and adaptation_loss, the config has those of student'):
        steps(model, only_one, 1)


def test_the_students_optimizer_may_move_the_discriminator_too():
    components = dict(adaptation_loss=dict(type='AdversarialAlignment', channels=4, train_with_student=True))
    model, _ = build(components)
    # The discriminator's biases are enough to see both steps; Adam's first one is its rate, whatever the gradient.
    optimizer = build_optim_wrapper(
        model,
        dict(
            constructor='ChildOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)),
            adaptation_loss=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, eps=1e-30)),
        ),
    )
    start, student, data = copy.deepcopy(model.adaptation_loss), copy.deepcopy(model.student), domains()
    model.student.eval()  # nothing random: its logits can be computed again
    student.eval()
    model.train_step(data, optimizer)
    for domain, number in (('source', 0), ('target', 1)):
        frames = model.data_preprocessor.normalize(model.unlabelled_clip(data[domain]).frames[:, 0])
        logits = torch.nn.functional.interpolate(
            student(frames, mode='tensor').detach(), size=(64, 64), mode='bilinear'
        )
        ((start(logits) - number).square().mean() / 2).backward()
    for parameter, before in zip(model.adaptation_loss.parameters(), start.parameters(), strict=True):
        stepped = before - 0.1 * (before.grad + 0.01 * before) - 1e-3 * before.grad.sign()
        torch.testing.assert_close(parameter, stepped, rtol=1e-4, atol=2e-6)
    # A second step of the student on no gradient: neither its momentum nor its decay is applied twice.
    twin, _ = build(dict(adaptation_loss=dict(type='AdversarialAlignment', channels=4)))
    twin.student.eval()
    twin.train_step(
        data,
        build_optim_wrapper(
            twin,
            dict(
                constructor='ChildOptimWrapperConstructor',
                student=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)),
                adaptation_loss=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
            ),
        ),
    )
    assert all(map(torch.equal, model.student.parameters(), twin.student.parameters()))


def test_detail_crops_follow_the_steps_own_random_stream():
    boxes = []
    for seed in (3, 3, 4):
        model, optimizer = build(*METHODS['mic'], seed=seed)
        drawn = []
        draw = model.student.draw_crop_box

        def record(size, generator, draw=draw, drawn=drawn):
            drawn.append(draw(size, generator))
            return drawn[-1]

        model.student.draw_crop_box, model.run_pass = record, without_networks
        steps(model, optimizer, 3)
        assert len(drawn) == 3 * 3, 'one box per pass'
        boxes.append(drawn)
    assert boxes[0] == boxes[1] != boxes[2] and len(set(boxes[0])) > 1


def test_mixed_masking_takes_half_of_the_batch_from_the_source():
    def clip(number, value, confidence):
        frames = torch.full((number, 1, 3, 8, 8), float(value))
        labels = torch.full((number, 1, 8, 8), value)
        return Clip(frames, labels, labels / 10, labels.float() if confidence else None)

    masking = BlockMasking(mode='mixed')
    for number, expected in ((2, [1, 5]), (3, [1, 5, 5]), (4, [1, 1, 5, 5]), (1, [5])):
        mixed = masking.select(clip(number, 1, False), clip(number, 5, True))
        assert mixed.labels[:, 0, 0, 0].tolist() == mixed.frames[:, 0, 0, 0, 0].tolist() == expected
        assert mixed.weights[:, 0, 0, 0].tolist() == pytest.approx([value / 10 for value in expected])
    target = clip(2, 5, True)
    assert BlockMasking(mode='target').select(clip(2, 1, False), target) is target
    with pytest.raises(ValueError, match="mode of BlockMasking is 'target' or 'mixed'; got 'source'"):
        BlockMasking(mode='source')


@pytest.mark.parametrize(('mode', 'recoloured'), [('target', True), ('mixed', False)])
def test_only_masked_targets_change_their_colours(mode, recoloured):
    change = dict(type='PhotometricChange', jitter_probability=1.0, brightness=0.9)
    model, _ = build(dict(MIC, masking=dict(type='BlockMasking', ratio=0.0, mode=mode), photometric=change))
    source = model.labelled_clip(batch(2))
    target = model.pseudo_labelled_clip(domains()['target'])
    masked = model.masked_pass(source, target).clip
    # Mixed: the first source image, then the first target image.
    plain = target.frames[0 if mode == 'mixed' else 1]
    assert torch.equal(masked.frames[1], plain) != recoloured
    assert torch.equal(masked.frames[0], source.frames[0]) == (mode == 'mixed')


def test_mixed_passes_share_the_decision_on_colours_and_nothing_else(monkeypatch):
    model, optimizer = build(dict(QUADMIX, photometric=dict(type='PhotometricChange')))
    changes, apply = [], type(model.photometric).apply
    monkeypatch.setattr(
        type(model.photometric),
        'apply',
        lambda self, frames, drawn: changes.append(drawn) or apply(self, frames, drawn),
    )
    model.run_pass = without_networks
    steps(model, optimizer, number=12)
    # Mixed and masked pass of the first iteration, which has no templates yet; then TSS, TST and masked pass.
    tss, tst, masked = changes[2::3], changes[3::3], changes[4::3]
    decisions = [
        [{(bool(draw.jitter), draw.sigma is not None) for draw in drawn} for drawn in passes]
        for passes in (tss, tst, masked)
    ]
    assert all(len(decision) == 1 for passes in decisions for decision in passes)
    assert decisions[0] == decisions[1] != decisions[2] and len(set(map(tuple, decisions[0]))) > 1
    # Factors, and in mixed passes widths of the blur, are drawn for each image anew.
    mixed = [draw for drawn in (*tss, *tst) for draw in drawn]
    jitters = [tuple(draw.jitter) for draw in mixed if draw.jitter]
    sigmas = [draw.sigma for draw in mixed if draw.sigma is not None]
    assert len(jitters) == len(set(jitters)) > 1 and len(sigmas) == len(set(sigmas)) > 1
    # The masked pass changes its batch in one go: one order, one width.
    assert all(first.sigma == second.sigma for first, second in masked)
    assert all([name for name, _ in first.jitter] == [name for name, _ in second.jitter] for first, second in masked)


def test_features_are_mixed_inside_the_mask_only():
    own, other = torch.rand(1, 5, 4, 4), torch.rand(1, 5, 4, 4)
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., :8, :] = True
    mixed = mix_features(own, other, mask, mix_ratio=0.7)
    torch.testing.assert_close(mixed[..., :2, :], 0.7 * own[..., :2, :] + 0.3 * other[..., :2, :])
    assert torch.equal(mixed[..., 2:, :], own[..., 2:, :])


@pytest.mark.parametrize('segmentor', [SEGMENTOR, HRDA], ids=['plain', 'hrda'])
def test_feature_mixing_changes_the_second_mixed_pass_only(segmentor):
    logs = {}
    for share in (None, 1.0, 0.0):
        more = {} if share is None else dict(feature_mixing=dict(type='FeatureMixing', mix_ratio=share))
        model, optimizer = build(QUADMIX, segmentor, seed=1, masking=None, **more)
        model.double()
        model.student.draw_crop_box = lambda size, generator: Box(0, 32, 32, 64)
        model.train_step(domains(), optimizer)
        model.student.eval()  # without dropout the same input gives the same loss
        logs[share] = model.train_step(domains(), optimizer)
    key = 'tst.decode.loss_ce'
    assert logs[1.0][key].item() == pytest.approx(logs[None][key].item(), rel=1e-9)
    assert logs[0.0][key].item() != pytest.approx(logs[None][key].item(), rel=1e-4)
    assert logs[0.0]['tss.decode.loss_ce'].item() == pytest.approx(logs[None]['tss.decode.loss_ce'].item(), rel=1e-9)


def test_feature_mixing_waits_for_its_start():
    model, optimizer = build(QUADMIX, SEGMENTOR, feature_mixing=dict(type='FeatureMixing', start_iter=10))
    model.feature_mixing.mix = None  # would fail if called
    steps(model, optimizer)
    model.iteration = 10
    with pytest.raises(TypeError):
        steps(model, optimizer)


@pytest.mark.parametrize(
    'components',
    [dict(feature_distance=dict(type='FeatureDistance')), dict(adaptation_loss=dict(type='EntropyMinimization'))],
)
def test_networks_that_do_not_return_their_features_are_refused(components):
    plain = dict(copy.deepcopy(SEGMENTOR), type='EncoderDecoder')
    with pytest.raises(ValueError, match='EncoderDecoder does not give: use SlidingEncoderDecoder'):
        build(components, plain)


def test_components_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match='two mixed passes, which ClassMix does not make'):
        build(dict(MIC, feature_mixing=dict(type='FeatureMixing')))
    with pytest.raises(ValueError, match='adaptation_loss compares logits .* use a network without HRDA'):
        build(dict(adaptation_loss=dict(type='AdversarialAlignment')), HRDA)
    with pytest.raises(ValueError, match="eval_branch is 'student' or 'teacher'; got 'techer'"):
        build(MIC, eval_branch='techer')


def test_components_that_do_not_fit_the_network_are_refused():
    neck = dict(type='MultiLevelNeck', in_channels=[8] * 4, out_channels=8, scales=[1, 1, 1, 1])
    with pytest.raises(ValueError, match='a neck without such weights comes between'):
        build(dict(feature_distance=dict(type='FeatureDistance')), dict(SEGMENTOR, neck=neck))
    other = dict(type='DLV2Head', in_channels=8, num_classes=4, dilations=(1, 2))
    with pytest.raises(ValueError, match='DLV2Head has no fuse_layer: use a DAFormerHead'):
        build(dict(QUADMIX, feature_mixing=dict(type='FeatureMixing')), dict(SEGMENTOR, decode_head=other))
    with pytest.raises(ValueError, match='feature_mixing work on pseudo-labels'):
        build(dict(feature_mixing=dict(type='FeatureMixing')))


def test_margins_can_be_trusted():
    for use_margins in (True, False):
        model, _ = build(
            dict(
                TEACHER,
                mixing=dict(type='ClassMix'),
                pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.0, use_margins=use_margins),
            )
        )
        target = domains()['target']
        for sample in target['data_samples']:
            sample.valid_pseudo_mask = PixelData(data=torch.zeros(1, 64, 64))
        assert (model.pseudo_labelled_clip(target).weights == (0 if use_margins else 1)).all()


def test_the_alignment_learns_the_number_of_classes_from_the_student():
    model = MODELS.build(
        dict(type='DomainAdapter', student=copy.deepcopy(SEGMENTOR), adaptation_loss=dict(type='AdversarialAlignment'))
    )
    assert model.adaptation_loss.layers[0].in_channels == 4
