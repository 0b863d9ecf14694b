"""Mixed precision, compilation, memory layout and recomputation change how a step is computed, not what."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import nn

from tests.distributed.steps import build_case, fixed_choices, run_case, without_batch_norm
from tests.engine.toys import build_runner, toy_config
from tests.uda.small import SEGMENTOR, build, domains
from udass.engine.config import check_components
from udass.engine.optim import (
    MixedPrecisionOptimWrapper,
    checkpoint_without_reentry,
    compile_networks,
    prepare_networks,
    with_mixed_precision,
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def losses(model, optimizer, steps):
    """Losses by iteration; the data repeat after four."""
    with fixed_choices():
        return [model.train_step(domains(seed % 4), optimizer)['loss'].item() for seed in range(steps)]


def sgd(model, wrapper=OptimWrapper, rate=0.02, **options):
    return wrapper(torch.optim.SGD(model.student.parameters(), lr=rate), **options)


@pytest.mark.slow
def test_bf16_follows_single_precision_over_50_steps():
    single, half = build_case('dacs').float(), build_case('dacs').float()
    # At four times this rate losses jump, and within 50 steps rounding of any kind grows to 5 to 20 percent of them.
    expected = torch.tensor(losses(single, sgd(single, rate=0.005), 50))
    found = torch.tensor(losses(half, sgd(half, MixedPrecisionOptimWrapper, rate=0.005, dtype='bf16'), 50))
    assert expected[-4:].mean() < 0.9 * expected[:4].mean(), 'the run must learn something'
    # bfloat16 has 8 bits of mantissa: 0.4 percent per operation.
    assert ((found - expected).abs() / expected).max() < 0.02
    assert all(
        value.dtype == torch.float32
        for value in half.state_dict().values()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    )


def test_the_teacher_is_computed_in_the_students_precision():
    model = build_case('dacs').float()
    types = {}

    def note(name, output):
        types[name] = output[0].dtype

    for name in ('student', 'teacher'):
        getattr(model, name).backbone.register_forward_hook(lambda module, args, output, name=name: note(name, output))
    model.train_step(domains(0), sgd(model, MixedPrecisionOptimWrapper, dtype='bf16'))
    assert types == {'student': torch.bfloat16, 'teacher': torch.bfloat16}


def test_the_scale_of_fp16_halves_where_gradients_overflow_and_is_resumed():
    weight = nn.Parameter(torch.ones(1))
    wrapper = MixedPrecisionOptimWrapper(torch.optim.SGD([weight], lr=0.1), dtype='fp16', initial_scale=4.0)
    for gradient, expected, scale in ((2.0, 0.8, 4.0), (float('inf'), 0.8, 2.0), (2.0, 0.6, 2.0)):
        # Two passes, one step, as in a training iteration.
        wrapper.backward((weight * gradient / 2).sum())
        wrapper.backward((weight * gradient / 2).sum())
        wrapper.step()
        wrapper.zero_grad()
        assert weight.item() == pytest.approx(expected) and wrapper.loss_scaler.get_scale() == scale
    resumed = MixedPrecisionOptimWrapper(torch.optim.SGD([weight], lr=0.1), dtype='fp16')
    resumed.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    assert resumed.loss_scaler.get_scale() == 2.0
    # Precisions may change between sessions.
    OptimWrapper(torch.optim.SGD([weight], lr=0.1)).load_state_dict(copy.deepcopy(wrapper.state_dict()))
    MixedPrecisionOptimWrapper(torch.optim.SGD([weight], lr=0.1)).load_state_dict(copy.deepcopy(wrapper.state_dict()))
    resumed.load_state_dict(OptimWrapper(torch.optim.SGD([weight], lr=0.1)).state_dict())
    assert resumed.loss_scaler.get_scale() == 2.0


def test_gradients_are_clipped_without_their_scale():
    weight = nn.Parameter(torch.ones(1))
    wrapper = MixedPrecisionOptimWrapper(
        torch.optim.SGD([weight], lr=1.0), dtype='fp16', initial_scale=1024.0, clip_grad=dict(max_norm=0.5)
    )
    wrapper.update_params((2 * weight).sum())
    assert weight.item() == pytest.approx(0.5)


def test_the_switch_reaches_every_optimizer_and_nothing_else():
    optimizer = dict(type='AdamW', lr=1.0)
    both = with_mixed_precision(
        dict(
            constructor='ChildOptimWrapperConstructor',
            student=dict(optimizer=optimizer),
            adaptation_loss=dict(type='OptimWrapper', optimizer=optimizer),
        ),
        'fp16',
    )
    half = dict(type='MixedPrecisionOptimWrapper', dtype='fp16', optimizer=optimizer)
    assert both == dict(constructor='ChildOptimWrapperConstructor', student=half, adaptation_loss=half)
    with pytest.raises(ValueError, match="mixed precision is 'bf16' or 'fp16'; got 'fp8'"):
        with_mixed_precision(dict(optimizer=optimizer), 'fp8')
    with pytest.raises(ValueError, match="amp='bf16' sets the optimizer wrapper, but .* 'AmpOptimWrapper'"):
        with_mixed_precision(dict(type='AmpOptimWrapper', optimizer=optimizer), 'bf16')


def test_a_fused_step_of_fp16_leaves_out_what_overflows_and_that_is_no_fault(toy_root, tmp_path):
    """The scale starts too high; fused or not, the same iterations are trained with the same weights."""
    runners = []
    for fused in (False, True):
        config = toy_config(toy_root, tmp_path / str(fused), max_iters=8, val_begin=1000)
        config.default_hooks.finite_loss = dict(type='FiniteLossHook', max_skipped=0)
        config.optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.01, fused=fused))
        config.amp = 'fp16'
        runner = build_runner(config)

        def overflow(gradient, runner=runner):
            return gradient * (float('inf') if runner.optim_wrapper.loss_scaler.get_scale() > 2e4 else 1)

        runner.model.student[3].bias.register_hook(overflow)
        runner.train()
        runners.append(runner)
    scales = [runner.optim_wrapper.loss_scaler.get_scale() for runner in runners]
    assert scales == [2.0**14, 2.0**14]
    for one, other in zip(runners[0].model.parameters(), runners[1].model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_wrappers_do_not_accumulate_gradients():
    optimizer = dict(type='AdamW', lr=1.0)
    assert with_mixed_precision(dict(optimizer=optimizer, accumulative_counts=1), 'bf16') == dict(
        type='MixedPrecisionOptimWrapper', dtype='bf16', optimizer=optimizer
    )
    with pytest.raises(ValueError, match='set optim_wrapper.accumulative_counts of the config, which holds for all'):
        with_mixed_precision(dict(student=dict(optimizer=optimizer, accumulative_counts=2)), 'bf16')
    wrapper = dict(type='MixedPrecisionOptimWrapper', optimizer=optimizer, accumulative_counts=2)
    check_components(dict(optim_wrapper=wrapper))
    with pytest.raises(ValueError, match='student.accumulative_counts does not exist: MixedPrecisionOptimWrapper take'):
        check_components(dict(optim_wrapper=dict(student=wrapper)))


def test_the_runner_reads_the_switches(toy_root, tmp_path):
    runner = build_runner(toy_config(toy_root, tmp_path), amp='bf16', channels_last=True)
    assert isinstance(runner.build_optim_wrapper(runner.optim_wrapper), MixedPrecisionOptimWrapper)
    assert runner.model.student[0].weight.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="sync_bn='torch' works on GPUs only"):
        build_runner(toy_config(toy_root, tmp_path), sync_bn='torch')
    with pytest.raises(ValueError, match="sync_bn is 'torch' or None .* got 'mmcv'"):
        build_runner(toy_config(toy_root, tmp_path), sync_bn='mmcv')


def tf32():
    """Whether products of matrices and convolutions may use it."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_tf32_is_as_asked_or_as_before(toy_root, tmp_path):
    """The config decides about both; without it torch's defaults stay: convolutions, but no products of matrices."""
    before = tf32()
    assert before == (False, True)
    try:
        build_runner(toy_config(toy_root, tmp_path))
        assert tf32() == before
        for asked in (True, False, None):
            build_runner(toy_config(toy_root, tmp_path), tf32=asked)
            assert tf32() == ((asked,) * 2 if asked is not None else (False, False))
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.slow
def test_compiled_networks_compute_the_same_under_the_same_names():
    plain, compiled = build_case('dacs'), build_case('dacs')
    # The compiler's front end and its gradients, without the minutes that generating code takes.
    names = compile_networks(compiled, dict(backend='aot_eager'))
    assert names == ['student.backbone', 'student.decode_head', 'teacher.backbone', 'teacher.decode_head']
    expected, found = losses(plain, sgd(plain), 3), losses(compiled, sgd(compiled), 3)
    assert found == pytest.approx(expected, rel=1e-9)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for key, value in plain.student.state_dict().items():
        torch.testing.assert_close(compiled.student.state_dict()[key], value, rtol=1e-9, atol=1e-9)


def test_decoders_with_mixed_features_are_not_compiled():
    model = build_case('quadmix_features')
    names = compile_networks(model, dict(backend='eager'))
    assert names == ['student.backbone', 'teacher.backbone', 'imagenet.backbone']


def test_channels_last_computes_the_same():
    plain, changed = build_case('dacs'), build_case('dacs')
    prepare_networks(changed, dict(channels_last=True))
    assert losses(changed, sgd(changed), 2) == pytest.approx(losses(plain, sgd(plain), 2), rel=1e-9)


RESNET = dict(type='ResNetV1c', depth=18, stem_channels=8, base_channels=8, norm_cfg=dict(type='BN'))
DEEPLAB = dict(
    SEGMENTOR, backbone=RESNET, decode_head=dict(type='DLV2Head', in_channels=64, num_classes=4, dilations=(1, 2))
)


@pytest.mark.parametrize('name', ['hrda', 'resnet'])
def test_recomputed_blocks_give_the_same_gradients(name):
    def gradients(with_cp):
        if name == 'hrda':
            result = run_case(name, checkpoint_blocks if with_cp else lambda model: model, steps=1)
            return result['gradients']['student']
        segmentor = copy.deepcopy(DEEPLAB)
        segmentor['backbone']['with_cp'] = with_cp
        model, _ = build({}, segmentor)
        without_batch_norm(model)
        model.double()
        checkpoint_without_reentry(model)
        source = model.labelled_clip(domains(0)['source'])
        model.run_pass(next(model.passes(source, None, None)), sgd(model), {})
        return [value.grad for value in model.student.parameters()]

    for first, second in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def checkpoint_blocks(model):
    """With gradient checkpointing, taken over from the option of mmseg's backbones."""
    blocks = [module for module in model.student.backbone.modules() if hasattr(module, 'with_cp')]
    assert blocks
    for block in blocks:
        block.with_cp = True
    calls = []
    checkpoint_without_reentry(model)
    model.student.backbone.layers[0][1][0].register_forward_pre_hook(lambda *args: calls.append(1))
    assert not any(block.with_cp for block in blocks)
    return model
