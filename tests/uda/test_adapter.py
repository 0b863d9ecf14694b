"""The training step on a tiny network, without loaders."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from tests.uda import small
from tests.uda.small import TEACHER
from udass.models.losses.pixel_weight import PixelWeightMixin
from udass.models.ranks import running_statistics

HEAD = dict(
    type='WeightedSegformerHead',
    in_channels=[8] * 4,
    in_index=[0, 1, 2, 3],
    channels=8,
    dropout_ratio=0.3,
    num_classes=4,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
SEGMENTOR = dict(small.SEGMENTOR, type='EncoderDecoder', decode_head=HEAD)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')
    torch.manual_seed(0)


def batch(number, size=(32, 48), seed=0, **metainfo):
    return small.batch(number, size, seed, block=8, **metainfo)


def unlabelled(number, size=(32, 48), seed=1):
    return small.unlabelled(number, size, seed, block=8)


def build(**components):
    model = MODELS.build(dict(type='DomainAdapter', student=copy.deepcopy(SEGMENTOR), **components))
    model.init_weights()
    model.train()
    return model, OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.1))


def test_source_only_trains_and_needs_no_target():
    model, optimizer = build()
    before = [parameter.clone() for parameter in model.student.parameters()]
    log = model.train_step(dict(source=batch(2)), optimizer)
    assert set(log) == {'loss', 'source.decode.loss_ce'}
    assert any(not torch.equal(a, b) for a, b in zip(before, model.student.parameters(), strict=True))


@pytest.mark.parametrize(('mixing', 'names'), [('ClassMix', {'mix'}), ('QuadMix', {'tss', 'tst'})])
def test_passes_of_a_method_and_their_scales_in_the_loss(mixing, names):
    model, optimizer = build(
        **TEACHER,
        mixing=dict(type=mixing),
        photometric=dict(type='PhotometricChange'),
        masking=dict(type='BlockMasking', block_size=8),
    )
    for seed in range(2):
        log = model.train_step(dict(source=batch(2, seed=seed), target=unlabelled(2, seed=seed + 5)), optimizer)
    losses = {key.split('.')[0]: value for key, value in log.items() if key.endswith('loss_ce')}
    assert set(losses) == {'source', 'masked'} | names
    scale = 0.5 if mixing == 'QuadMix' else 1.0
    expected = losses['source'] + losses['masked'] + scale * sum(losses[name] for name in names)
    assert log['loss'].item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.iteration == 2


@pytest.mark.parametrize(
    ('source', 'target'),
    [((1, (32, 48)), (1, (32, 48))), ((2, (32, 48)), (3, (32, 48))), ((3, (48, 32)), (2, (32, 64)))],
)
def test_source_and_target_batches_may_differ(source, target):
    model, optimizer = build(**TEACHER, mixing=dict(type='QuadMix'))
    for _ in range(2):
        log = model.train_step(dict(source=batch(*source), target=unlabelled(*target)), optimizer)
    assert torch.isfinite(log['loss'])


def test_long_tail_images_reach_the_mixes():
    model, optimizer = build(**TEACHER, mixing=dict(type='QuadMix'))
    panels = {}
    model.pass_hooks.append(panels.__setitem__)
    tail = batch(2 * 2 * 2, seed=9, paste_class=3)
    for image in tail['inputs']:
        image.fill_(77)
    for _ in range(2):
        panels.clear()
        model.train_step(dict(source=batch(2), target=unlabelled(2), long_tail=tail), optimizer)
    for name in ('tss', 'tst'):
        clip = panels[name]
        pasted = (clip.frames == 77).all(dim=2) & (clip.labels == 3)
        assert pasted.any() and (clip.weights[pasted] == 1).all()
    assert set(panels) == {'source', 'target', 'tss', 'tst'}


def test_teacher_has_nothing_random_and_no_gradient():
    model, optimizer = build(**TEACHER, mixing=dict(type='ClassMix'))
    model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
    model.train()
    frames = torch.rand(2, 3, 32, 48) * 255
    assert torch.equal(model.teacher_logits(frames), model.teacher_logits(frames))
    assert not model.teacher_logits(frames).requires_grad
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.teacher.parameters())
    random = [module for module in model.teacher.modules() if 'Drop' in type(module).__name__]
    assert random and not any(module.training for module in random)
    assert any(module.training for module in model.student.modules() if 'Drop' in type(module).__name__)


def test_the_masked_pass_can_leave_the_running_statistics_alone():
    def trained(**options):
        torch.manual_seed(0)
        model, optimizer = build(**TEACHER, mixing=dict(type='ClassMix'), **options)
        model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
        return [value.clone() for value in running_statistics(model.student)], list(model.student.parameters())

    masking = dict(type='BlockMasking', block_size=8)
    never, _ = trained()
    followed, weights = trained(masking=masking)
    kept, same_weights = trained(masking=masking, masked_statistics=False)
    assert all(torch.equal(one, other) for one, other in zip(never, kept, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(followed, kept, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(weights, same_weights, strict=True))


def test_labels_of_the_target_are_not_read():
    def trained(target):
        torch.manual_seed(0)
        model, optimizer = build(
            **TEACHER, mixing=dict(type='ClassMix'), masking=dict(type='BlockMasking', block_size=8)
        )
        model.train_step(dict(source=batch(2), target=target), optimizer)
        return list(model.student.parameters())

    pairs = zip(trained(unlabelled(2)), trained(batch(2, seed=1)), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize('batch_statistics', [True, False])
def test_teacher_batch_norm_mode_is_a_choice(batch_statistics):
    teacher = dict(TEACHER, ema=dict(type='EMA', alpha=0.9, copy_buffers=not batch_statistics))
    model, optimizer = build(**teacher, mixing=dict(type='ClassMix'), teacher_batch_statistics=batch_statistics)
    for _ in range(2):
        model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
    mean = model.teacher.decode_head.fusion_conv.bn.running_mean
    assert mean.abs().max() > 0, 'running statistics of the teacher never move'
    norms = [module for module in model.teacher.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms and all(module.training is batch_statistics for module in norms)
    model.eval()
    assert not any(module.training for module in norms)


def test_teacher_starts_as_the_student_and_follows_it():
    model, optimizer = build(**TEACHER, mixing=dict(type='ClassMix'))
    model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
    student_then = [parameter.detach().clone() for parameter in model.student.parameters()]
    teacher_then = [parameter.clone() for parameter in model.teacher.parameters()]
    model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
    for teacher, old, student in zip(model.teacher.parameters(), teacher_then, student_then, strict=True):
        assert torch.allclose(teacher, 0.5 * old + 0.5 * student, atol=1e-6)


def test_untrusted_target_pixels_carry_no_weight():
    model, optimizer = build(**TEACHER, mixing=dict(type='ClassMix'))
    target = unlabelled(1)
    valid = torch.ones(1, 32, 48)
    valid[:, :10] = 0
    target['data_samples'][0].valid_pseudo_mask = PixelData(data=valid)
    clip = model.pseudo_labelled_clip(target)
    assert (clip.weights[:, :, :10] == 0).all()
    assert (clip.weights[:, :, 10:] == clip.weights[0, 0, 10, 0]).all()


def test_log_holds_scalar_tensors_only():
    model, optimizer = build(**TEACHER, mixing=dict(type='QuadMix'))
    log = model.train_step(dict(source=batch(2), target=unlabelled(2)), optimizer)
    assert all(
        isinstance(value, torch.Tensor) and value.ndim == 0 and not value.requires_grad for value in log.values()
    )


def test_state_dict_brings_back_counters_templates_and_random_stream():
    data = dict(source=batch(2), target=unlabelled(2))
    model, optimizer = build(**TEACHER, mixing=dict(type='QuadMix'))
    for _ in range(3):
        model.train_step(data, optimizer)
    other, _ = build(**TEACHER, mixing=dict(type='QuadMix'), seed=123)
    other.load_state_dict(model.state_dict())
    assert other.iteration == 3 and other.ema.steps == 3 and other.mixing.bank.iteration == 2
    assert torch.equal(torch.rand(5, generator=other.generator), torch.rand(5, generator=model.generator))
    prefixes = {key.split('.')[0] for key in model.state_dict()}
    assert prefixes == {'student', 'teacher', 'ema', 'mixing', '_extra_state'}


def test_evaluation_branch():
    model, _ = build(**TEACHER, mixing=dict(type='ClassMix'))
    model.eval()
    torch.nn.init.constant_(model.teacher.decode_head.conv_seg.bias, 7.0)
    images = torch.rand(1, 3, 32, 48)
    student = model(images)
    model.eval_branch = 'teacher'
    assert not torch.allclose(model(images), student)
    with pytest.raises(ValueError, match='eval_branch is teacher, but this method has no teacher'):
        build(eval_branch='teacher')


@pytest.mark.parametrize(
    ('components', 'message'),
    [
        (dict(ema=dict(type='EMA')), 'needs pseudo_labels, and mixing or masking to use them'),
        (dict(mixing=dict(type='ClassMix')), 'give ema too'),
        (dict(masking=dict(type='BlockMasking')), 'give ema too'),
        (dict(photometric=dict(type='PhotometricChange')), 'give ema too'),
        (
            dict(**TEACHER, mixing=dict(type='ClassMix'), teacher_batch_statistics=False),
            'set ema.copy_buffers=True too',
        ),
        (dict(masked_statistics=False), 'about the masked pass, which this method lacks'),
    ],
)
def test_components_that_need_each_other(components, message):
    with pytest.raises(ValueError, match=message):
        build(**components)


def test_images_of_different_sizes_are_refused_by_name():
    model, optimizer = build()
    data = batch(2, img_path='street.png')
    data['inputs'][1] = data['inputs'][1][:, :16]
    with pytest.raises(ValueError, match=r'differ in size .*street.png.*crop of fixed size'):
        model.train_step(dict(source=data), optimizer)


def test_plain_ddp_is_refused_with_what_to_use():
    model, _ = build()
    with pytest.raises(ValueError, match='SeparateDataParallel'):
        model(torch.rand(1, 3, 32, 48), mode='loss')


def test_a_head_of_mmseg_gets_the_weights_and_one_that_would_ignore_them_is_refused():
    plain = copy.deepcopy(SEGMENTOR)
    plain['decode_head'] = dict(
        type='SegformerHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=4
    )
    mixing = dict(**TEACHER, mixing=dict(type='ClassMix'))
    model = MODELS.build(dict(type='DomainAdapter', student=plain, **mixing))
    assert isinstance(model.student.decode_head, PixelWeightMixin)
    plain['decode_head'].update(type='EncHead', num_codes=2)
    with pytest.raises(ValueError, match=r'decode_head \(EncHead\) computes its loss by itself, without the weights'):
        MODELS.build(dict(type='DomainAdapter', student=plain, **mixing))
    MODELS.build(dict(type='DomainAdapter', student=plain))


def test_a_wrapper_that_accumulates_gradients_by_itself_is_refused():
    model, _ = build()
    optimizer = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.1), accumulative_counts=2)
    with pytest.raises(ValueError, match='cannot accumulate gradients by itself'):
        model.train_step(dict(source=batch(2)), optimizer)


@pytest.mark.parametrize(
    ('mixing', 'classes', 'message'),
    [
        ('ClassMix', [3] * 8, 'this method pastes no long-tail images'),
        ('QuadMix', [3, 3, 5, 5], r'4 long-tail images of one class per draw .*set train_cfg.long_tail.mixes=2'),
        ('QuadMix', [3] * 6, '4 long-tail images of one class per draw'),
    ],
)
def test_long_tail_images_that_do_not_fit_the_mixing_are_refused(mixing, classes, message):
    model, optimizer = build(**TEACHER, mixing=dict(type=mixing))
    tail = batch(len(classes))
    for sample, name in zip(tail['data_samples'], classes, strict=True):
        sample.set_metainfo(dict(paste_class=name))
    with pytest.raises(ValueError, match=message):
        model.train_step(dict(source=batch(2), target=unlabelled(2), long_tail=tail), optimizer)


def test_masked_pixels_are_the_networks_zero():
    masking = dict(type='BlockMasking', block_size=8, ratio=1.0)
    model, _ = build(**TEACHER, mixing=dict(type='ClassMix'), masking=masking)
    target = model.pseudo_labelled_clip(unlabelled(2))
    masked = model.masked_pass(target, target)
    assert (model.data_preprocessor.normalize(masked.clip.frames) == 0).all()
    assert torch.equal(masked.clip.labels, target.labels) and torch.equal(masked.clip.weights, target.weights)


def test_without_a_seed_the_step_follows_torchs():
    torch.manual_seed(11)
    first, _ = build()
    torch.manual_seed(12)
    second, _ = build()
    assert first.generator.initial_seed() == 11 and second.generator.initial_seed() == 12
