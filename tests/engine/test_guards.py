"""Losses that are not finite and damaged files: what they must not change, and what is said of them."""

import copy
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import nn

from tests.engine.test_loops import interrupt_at
from tests.engine.toys import build_runner, same_weights, toy_config, train
from tests.uda.small import METHODS, build, data_of, domains
from tests.uda.test_no_waiting import WatchReads
from udass.engine.checkpoint import latest_checkpoint
from udass.engine.hooks import DamagedFileHook, FiniteLossHook, keep_non_finite_out, not_finite
from udass.models.checkpoints import read_checkpoint
from udass.models.ranks import running_statistics


def guarded(config, **arguments):
    config.default_hooks.finite_loss = dict(type='FiniteLossHook', **arguments)
    return config


def poison(runner, iterations, factor=float('nan')):
    """Multiplies the student's logits in the given iterations (counted from 1)."""

    def spoil(module, args, output):
        return output * factor if runner.iter + 1 in iterations and module.training else output

    runner.model.student.register_forward_hook(spoil)
    runner.warnings = []
    runner.logger.warning = runner.warnings.append
    return runner


def finite(model):
    return all(torch.isfinite(value).all() for value in model.state_dict().values())


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_one_value_that_is_not_finite_makes_all_gradients_zero(value):
    network = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network.weight.grad, network.bias.grad = torch.full((2, 3), 1e30), torch.tensor([1.0, -2.0])
    assert not keep_non_finite_out(optimizer)
    assert network.bias.grad.tolist() == [1, -2] and (network.weight.grad == 1e30).all()
    network.bias.grad[1] = value
    assert keep_non_finite_out(optimizer)
    assert network.bias.grad.tolist() == [0, 0] and (network.weight.grad == 0).all()


@pytest.mark.parametrize('kind', [torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_fused_step_with_one_value_that_is_not_finite_changes_nothing(kind, value):
    network = nn.Linear(3, 2)
    wrapper = OptimWrapper(kind(network.parameters(), lr=0.1, weight_decay=0.1, fused=True))
    runner = SimpleNamespace(model=network, optim_wrapper=wrapper, hooks=[], iter=0, max_iters=9)
    hook = FiniteLossHook(interval=5)
    hook.before_train(runner)

    def step(factor):
        hook.before_train_iter(runner, 0)
        wrapper.update_params(network(torch.ones(1, 3)).sum() * factor)
        hook.after_train_iter(runner, 0, outputs={})
        return copy.deepcopy([network.state_dict(), wrapper.state_dict()['state']])

    before, after, last = step(1.0), step(value), step(1.0)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert not torch.equal(last[0]['weight'], before[0]['weight'])
    assert not hasattr(wrapper.optimizer, 'found_inf')
    assert [flags.tolist() for _, _, flags, _ in hook._pending] == [[True], [False], [True]]


def test_an_optimizer_without_gradients_has_nothing_to_check():
    assert not keep_non_finite_out(torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1))


def test_statistics_are_put_back_where_a_loss_scaler_left_the_step_out():
    """Then no optimizer tells whether something was not finite."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    runner = SimpleNamespace(model=network, optim_wrapper=OptimWrapper(optimizer), hooks=[], iter=0, max_iters=9)
    hook = FiniteLossHook(interval=5)
    hook.before_train(runner)
    network(torch.rand(2, 3, 4, 4))
    before = network[1].running_mean.clone()
    hook.before_train_iter(runner, 0)
    network(torch.full((2, 3, 4, 4), float('inf')))
    assert not torch.isfinite(network[1].running_mean).any()
    hook.after_train_iter(runner, 0, outputs={})
    assert torch.equal(network[1].running_mean, before) and torch.isfinite(network[1].running_var).all()


def test_an_iteration_that_is_left_out_counts_as_one_without_gradient(toy_root, tmp_path):
    runner = poison(build_runner(guarded(toy_config(toy_root, tmp_path / 'a'), max_skipped=1)), {3})
    runner.train()
    zeroed = poison(build_runner(toy_config(toy_root, tmp_path / 'b')), {3}, factor=0)
    zeroed.train()
    plain = train(toy_config(toy_root, tmp_path / 'c'))
    assert finite(runner.model) and same_weights(runner.model, zeroed.model)
    assert not same_weights(runner.model, plain.model)
    assert runner.iter == 6 and len(runner.warnings) == 1
    source, target = runner.model.seen[2]['source'], runner.model.seen[2]['target']
    assert 'Not finite in iteration 3: loss, the gradients of student' in runner.warnings[0]
    assert all(f'{name}.png' in runner.warnings[0] for name in source + target)
    assert '(1 such iterations so far, 1 allowed)' in runner.warnings[0]


def test_without_the_guard_the_weights_are_lost_but_not_the_checkpoint_before(toy_root, tmp_path):
    runner = poison(build_runner(toy_config(toy_root, tmp_path)), {3})
    with pytest.raises(
        FloatingPointError,
        match=r'12 parts of the state are not finite after iteration 4: '
        r'student.0.weight, .*exp_avg of student.0.weight. It is not saved',
    ):
        runner.train()
    assert not finite(runner.model)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'


SPOILED = {
    'teacher.decode_head.conv_seg.weight': lambda adapter, optimizer: adapter.teacher.decode_head.conv_seg.weight,
    'student.decode_head.conv_seg.bias': lambda adapter, optimizer: adapter.student.decode_head.conv_seg.bias,
    'statistics of batch norm 1': lambda adapter, optimizer: running_statistics(adapter)[1],
    'momentum_buffer of student.backbone': lambda adapter, optimizer: next(iter(optimizer.state.values()))[
        'momentum_buffer'
    ],
}


@pytest.mark.parametrize('name', SPOILED)
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_whatever_is_not_finite_in_the_state_is_named(name, value):
    init_default_scope('mmseg')
    model, wrapper = build(*METHODS['dacs'])
    wrapper.optimizer.param_groups[0]['momentum'] = 0.9
    model.train_step(domains(0), wrapper)
    assert not_finite(model, wrapper) == []
    SPOILED[name](model, wrapper.optimizer).data.view(-1)[0] = value
    found = not_finite(model, wrapper)
    assert len(found) == 1 and found[0].startswith(name)


def test_moments_that_overflow_by_finite_gradients_end_the_training(toy_root, tmp_path):
    """Adam's squares: the weights stand still for ever, and every loss is finite."""
    runner = build_runner(guarded(toy_config(toy_root, tmp_path)))
    step = runner.model.train_step

    def explode(data, optim_wrapper):
        if runner.iter + 1 == 3:
            runner.model.student[0].bias.register_hook(lambda gradient: torch.full_like(gradient, 1e25))
        return step(data, optim_wrapper)

    runner.model.train_step = explode
    with pytest.raises(
        FloatingPointError, match='1 parts of the state are not finite after iteration 4: exp_avg_sq of student.0.bias'
    ):
        runner.train()
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'


def test_weights_that_are_not_finite_are_not_loaded(toy_root, tmp_path):
    train(toy_config(toy_root, tmp_path, max_iters=2))
    path = tmp_path / 'iter_2.pth'
    checkpoint = read_checkpoint(path)
    checkpoint['state_dict']['student.3.bias'][0] = float('nan')
    torch.save(checkpoint, path)
    for changes in (dict(resume=True), dict(load_from=str(path), work_dir=str(tmp_path / 'new'))):
        with pytest.raises(ValueError, match=r'iter_2.pth holds 1 weights that are not finite: (student\.)?3.bias'):
            train(toy_config(toy_root, tmp_path, max_iters=4), **changes)


@pytest.mark.parametrize('fused', [False, True])
def test_a_loss_scale_that_never_settles_ends_the_training(fused, toy_root, tmp_path):
    config = guarded(toy_config(toy_root, tmp_path, max_iters=60, val_begin=1000), interval=1)
    config.optim_wrapper = dict(type='MixedPrecisionOptimWrapper', dtype='fp16')
    config.optim_wrapper.optimizer = dict(type='AdamW', lr=0.01, fused=fused)
    config.default_hooks.checkpoint.interval = 100
    runner = build_runner(config)
    # The loss is finite, the gradients never are.
    runner.model.student[0].weight.register_hook(lambda gradient: torch.full_like(gradient, float('inf')))
    with pytest.raises(FloatingPointError, match=r'each of the last 50 iterations.*does not settle.*--amp bf16'):
        runner.train()
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_50.pth' and finite(runner.model)


def test_more_than_allowed_saves_and_stops_and_can_be_resumed(toy_root, tmp_path):
    whole = poison(build_runner(guarded(toy_config(toy_root, tmp_path / 'a', max_iters=9), max_skipped=2)), {2, 5})
    whole.train()
    config = guarded(toy_config(toy_root, tmp_path / 'b', max_iters=9), max_skipped=1)
    runner = poison(build_runner(config), {2, 5})
    with pytest.raises(
        FloatingPointError,
        match=r'not finite in 2 iterations, 1 are allowed: iteration 2: loss, .*'
        r'iteration 5: .*images: source .*\.png; target .*reached no weight.*'
        r'--resume goes on without',
    ):
        runner.train()
    # Iterations are read in pairs, as the log is.
    assert runner.iter == 6 and latest_checkpoint(tmp_path / 'b') == tmp_path / 'b' / 'iter_6.pth'
    assert finite(runner.model)
    assert list(read_checkpoint(tmp_path / 'b' / 'iter_6.pth')['meta']['skipped_iterations']) == [2, 5]
    resumed = poison(build_runner(config, resume=True), set())
    resumed.train()
    assert resumed.iter == 9 and same_weights(resumed.model, whole.model)
    again = poison(
        build_runner(guarded(toy_config(toy_root, tmp_path / 'b', max_iters=12), max_skipped=1), resume=True), {10}
    )
    with pytest.raises(FloatingPointError, match='not finite in 3 iterations'):
        again.train()


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match='interval must be at least 1 iteration, got 0'):
        FiniteLossHook(interval=0)
    with pytest.raises(ValueError, match='max_files must be at least 0, got -1'):
        DamagedFileHook(max_files=-1)


def adapter_in_a_run(method='dacs', **arguments):
    """An adapter with the hook around its step, and a function that takes one iteration."""
    init_default_scope('mmseg')
    model, optimizer = build(*METHODS[method])
    warnings = []
    hook = FiniteLossHook(**arguments)
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=optimizer,
        iter=0,
        max_iters=100,
        hooks=[],
        warnings=warnings,
        logger=SimpleNamespace(warning=warnings.append),
        train_loop=SimpleNamespace(failure=None),
    )
    hook.before_train(runner)

    def iterate():
        data = data_of(runner.model, runner.iter)
        for domain, batch in data.items():
            for number, sample in enumerate(batch['data_samples']):
                sample.set_metainfo(dict(img_path=f'{domain}/{number}.png'))
        hook.before_train_iter(runner, 0, data)
        log = model.train_step(data, optimizer)
        hook.after_train_iter(runner, 0, data, log)
        runner.iter += 1
        return log

    return runner, iterate


def test_the_report_names_the_pass_and_batch_norm_is_put_back(monkeypatch):
    runner, iterate = adapter_in_a_run(max_skipped=3, interval=3)
    statistics = running_statistics(runner.model)
    iterate()
    before = [value.clone() for value in statistics]
    weights = {key: value.clone() for key, value in runner.model.student.named_parameters()}
    monkeypatch.setattr(type(runner.model.photometric), 'apply', lambda self, frames, change: frames * float('nan'))
    log = iterate()
    monkeypatch.undo()
    assert not torch.isfinite(log['mix.decode.loss_ce']) and torch.isfinite(log['source.decode.loss_ce'])
    assert len(before) > 0 and all(torch.equal(old, new) for old, new in zip(before, statistics, strict=True))
    # Plain SGD without momentum and decay: no gradient, no change.
    assert all(torch.equal(value, weights[key]) for key, value in runner.model.student.named_parameters())
    assert runner.warnings == []
    assert torch.isfinite(iterate()['loss'])
    assert not all(torch.equal(value, weights[key]) for key, value in runner.model.student.named_parameters())
    assert len(runner.warnings) == 1 and runner.train_loop.failure is None
    assert (
        'iteration 2: mix.decode.loss_ce, the gradients of student (images: source source/0.png, source/1.png; '
        'target target/0.png, target/1.png)'
    ) in runner.warnings[0]


@pytest.mark.parametrize('method', ['dacs', 'advseg', 'quadmix_video'])
def test_nothing_is_read_from_the_device_between_two_intervals(method):
    runner, iterate = adapter_in_a_run(method, interval=50)
    iterate()
    with WatchReads('cpu') as watch:
        iterate()
    assert watch.reads == []


def test_the_guard_works_on_a_device_that_cannot_be_read():
    init_default_scope('mmseg')
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).to('meta')
    wrapper = OptimWrapper(torch.optim.SGD(network.parameters(), lr=0.1))
    runner = SimpleNamespace(model=network, optim_wrapper=wrapper, iter=0, max_iters=9, hooks=[])
    hook = FiniteLossHook(interval=5)
    hook.before_train(runner)
    with WatchReads('meta') as watch:
        hook.before_train_iter(runner, 0, {})
        loss = network(torch.ones(2, 3, 4, 4, device='meta')).sum()
        wrapper.update_params(loss)
        hook.after_train_iter(runner, 0, {}, {'loss': loss})
    assert watch.reads == []
    with pytest.raises((RuntimeError, NotImplementedError)):
        hook._read(runner)


# ------------------------------------------------------------------- files


@pytest.fixture(scope='module')
def damaged_root(toy_root, tmp_path_factory):
    """Toy data of which two images are cut off."""
    root = tmp_path_factory.mktemp('damaged') / 'toy'
    shutil.copytree(toy_root, root)
    for name in ('002', '005'):
        path = root / 'images' / f'{name}.png'
        path.write_bytes(path.read_bytes()[:40])
    return root


def damaged_config(root, work_dir, max_files, **options):
    config = toy_config(root, work_dir, val_begin=1000, **options)
    for loader in config.train_dataloader.values():
        loader.dataset.pipeline[0] = dict(type='LoadImage')
    config.default_hooks.damaged_files = dict(type='DamagedFileHook', max_files=max_files)
    return config


def test_training_goes_on_around_damaged_files_whatever_the_workers_and_resumes(damaged_root, tmp_path):
    whole = train(damaged_config(damaged_root, tmp_path / 'whole', 2, max_iters=9))
    seen = {name for batch in whole.model.seen for names in batch.values() for name in names}
    assert seen == {f'{number:03d}' for number in range(8)} - {'002', '005'}
    config = damaged_config(damaged_root, tmp_path / 'cut', 2, max_iters=9, num_workers=2)
    runner = build_runner(config)
    interrupt_at(runner, 5)
    with pytest.raises(SystemExit):
        runner.train()
    resumed = train(config, resume=True)
    assert runner.model.seen + resumed.model.seen == whole.model.seen
    assert same_weights(resumed.model, whole.model)
    found = [read_checkpoint(tmp_path / name / 'iter_9.pth')['meta']['damaged_files'] for name in ('whole', 'cut')]
    assert found[0] == found[1] and len(found[0]) == 2 and all('cannot be decoded' in text for text in found[0])


def test_one_file_more_than_allowed_saves_and_stops(damaged_root, tmp_path):
    runner = build_runner(damaged_config(damaged_root, tmp_path, 1, max_iters=20))
    with pytest.raises(ValueError, match=r'2 damaged files, 1 are allowed: .*00[25].png .*decoded.*Repair them'):
        runner.train()
    assert latest_checkpoint(tmp_path) == tmp_path / f'iter_{runner.iter}.pth' and runner.iter < 20


@pytest.mark.parametrize('num_workers', [0, 1])
def test_by_default_the_first_damaged_file_stops_and_the_state_is_saved(damaged_root, tmp_path, num_workers):
    runner = build_runner(damaged_config(damaged_root, tmp_path, 0, max_iters=20, num_workers=num_workers))
    with pytest.raises(ValueError, match=r'00[25].png .*cannot be decoded'):
        runner.train()
    assert runner.iter == len(runner.model.seen) < 20
    saved = list(tmp_path.glob(f'iter_{runner.iter}.pth'))
    assert saved if runner.iter else not saved


def test_a_group_of_draws_keeps_its_class_in_replacements():
    from udass.datasets import SampleKey

    draw = SampleKey(index=3, number=5, stream_seed=11)
    other = draw.replacement(100)
    assert other == draw.replacement(100) and (other.number, other.stream_seed, other.attempt) == (5, 11, 1)
    assert other.group_generator(2).integers(1000) == draw.group_generator(2).integers(1000)
    assert other.generator().integers(10**9) != draw.generator().integers(10**9)
    assert other.pipeline_seed() != draw.pipeline_seed() and other.replacement(100).attempt == 2
    indices = [SampleKey(index=0, number=number, stream_seed=11).replacement(10).index for number in range(200)]
    assert set(indices) == set(range(10))


def test_an_error_of_the_validation_is_raised_after_saving(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path, max_iters=6, val_begin=3)
    config.default_hooks.checkpoint.interval = 100
    runner = build_runner(config)

    def fail():
        raise OSError('a damaged validation image')

    runner.val_loop.run = fail
    with pytest.raises(OSError, match='a damaged validation image'):
        runner.train()
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_3.pth'
    assert train(toy_config(toy_root, tmp_path, max_iters=6, val_begin=3), resume=True).iter == 6
