import itertools
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tests.engine.toys import build_runner, same_weights, toy_config, train
from udass.engine.data_loader import DomainLoader, disable_malloc_trim, domain_configs
from udass.engine.interrupt import Interrupted, InterruptGuard
from udass.engine.loop import UDATrainLoop, check_same_start
from udass.models.checkpoints import read_checkpoint

LOADER = {'batch_size': 2, 'num_workers': 1, 'dataset': {'type': 'ToyDataset'}}


def test_each_domain_gets_a_wrapped_dataset_and_a_stream_of_its_own():
    configs = domain_configs(
        {'source': LOADER, 'target': LOADER, 'unused': LOADER},
        ('source', 'target'),
        source_sampling={'type': 'RareClassDataset', 'temperature': 0.01},
    )
    assert list(configs) == ['source', 'target']
    assert configs['source']['dataset'] == {
        'type': 'RareClassDataset',
        'temperature': 0.01,
        'dataset': {'type': 'ToyDataset'},
    }
    assert configs['target']['dataset'] == {'type': 'SeededDataset', 'dataset': {'type': 'ToyDataset'}}
    assert [config['sampler'] for config in configs.values()] == [
        {'type': 'SeededInfiniteSampler', 'stream': 'source'},
        {'type': 'SeededInfiniteSampler', 'stream': 'target'},
    ]
    assert 'sampler' not in LOADER


def test_long_tail_batches_hold_draws_times_mixes_times_source_batch_images():
    configs = domain_configs({'source': LOADER}, ('source',), long_tail={'draws': 3, 'mixes': 2})
    assert configs['long_tail']['batch_size'] == 3 * 2 * 2
    assert configs['long_tail']['dataset'] == {
        'type': 'LongTailDataset',
        'draws': 3,
        'images_per_draw': 2 * 2,
        'dataset': {'type': 'ToyDataset'},
    }
    assert configs['long_tail']['sampler']['stream'] == 'long_tail'


def test_accumulated_batches_are_read_as_one():
    configs = domain_configs({'source': LOADER, 'target': LOADER}, ('source', 'target'), long_tail={}, batches=3)
    assert {domain: config['batch_size'] for domain, config in configs.items()} == dict(
        source=3 * 2, target=3 * 2, long_tail=2 * 2 * 3 * 2
    )
    # So many images share a rare class: those of the mixes of the whole batch.
    assert configs['long_tail']['dataset']['images_per_draw'] == 2 * 3 * 2


def test_an_iteration_is_all_batches_of_a_step(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path / 'run', max_iters=2)
    config.optim_wrapper.accumulative_counts = 2
    runner = train(config)
    assert runner.iter == 2 and runner.model.accumulative_counts == 2
    assert [len(seen['target']) for seen in runner.model.seen] == [4, 4]
    joined = train(
        toy_config(toy_root, tmp_path / 'joined', max_iters=2),
        **{f'train_dataloader.{domain}.batch_size': 4 for domain in ('source', 'target')},
    )
    assert joined.model.seen == runner.model.seen
    config.optim_wrapper.accumulative_counts = 0
    with pytest.raises(ValueError, match='accumulative_counts must be a number of batches, at least 1; got 0'):
        build_runner(config, work_dir=str(tmp_path / 'none')).train()


def test_long_tail_images_may_have_a_pipeline_of_their_own():
    configs = domain_configs({'source': LOADER}, ('source',), long_tail={'pipeline': [{'type': 'LoadImage'}]})
    assert configs['long_tail']['dataset']['dataset'] == {'type': 'ToyDataset', 'pipeline': [{'type': 'LoadImage'}]}
    assert configs['source']['dataset']['dataset'] == LOADER['dataset'] == {'type': 'ToyDataset'}


def test_a_stream_that_starts_late_is_not_read_before_and_resumes_where_it_was():
    reads = []

    class Numbers(Dataset):
        def __init__(self, name):
            self.name = name

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            reads.append(self.name)
            return index

    class Endless(Sampler):
        first = 0

        def __iter__(self):
            return itertools.count(self.first)

        def skip(self, number):
            self.first = number

    def batches(skipped, number):
        loaders = {
            name: DataLoader(Numbers(name), batch_size=size, sampler=Endless())
            for name, size in (('source', 1), ('long_tail', 2))
        }
        loader = DomainLoader(loaders, length=9, starts={'long_tail': 3})
        loader.skip(skipped)
        return [{name: batch.tolist() for name, batch in item.items()} for item in itertools.islice(loader, number)]

    whole = batches(0, 6)
    assert whole[2:5] == [{'source': [2]}, {'source': [3], 'long_tail': [0, 1]}, {'source': [4], 'long_tail': [2, 3]}]
    assert reads.count('long_tail') == 6
    for cut in range(6):
        assert batches(cut, 6 - cut) == whole[cut:]


def test_a_model_that_needs_the_target_gets_it_or_says_so(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path)
    config.train_cfg.domains = ('source',)
    runner = build_runner(config)
    runner.model.needs_target = True
    with pytest.raises(ValueError, match=r"also learns from the target, but train_cfg.domains is \('source',\)"):
        runner.train()


def test_a_schedule_of_another_length_is_reported(toy_root, tmp_path):
    # Much later is a horizon that is meant.
    for end, warned in ((2, False), (3, False), (4, True), (7, False)):
        config = toy_config(toy_root, tmp_path / str(end), max_iters=2)
        config.param_scheduler = [dict(type='PolyLR', by_epoch=False, begin=0, end=end)]
        runner = build_runner(config)
        messages = []
        runner.logger.warning = messages.append
        runner.train()
        assert any('ends at iteration 4, the training at 2' in message for message in messages) == warned


@pytest.mark.parametrize('gpu, setting, pinned', [(True, None, True), (False, None, False), (True, False, False)])
def test_batches_are_pinned_for_a_gpu_unless_the_config_says_no(toy_root, tmp_path, monkeypatch, gpu, setting, pinned):
    config = toy_config(toy_root, tmp_path)
    if setting is not None:
        config.train_dataloader.source.pin_memory = setting
    runner = build_runner(config)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    loop = UDATrainLoop(runner, config.train_dataloader, max_iters=1)
    assert [loader.pin_memory for loader in loop.dataloader.loaders.values()] == [pinned, gpu]


@pytest.mark.parametrize(
    'dataloader, domains, message',
    [
        ({'source': LOADER}, ('source', 'target'), 'no config for domain target; it has source'),
        (
            {'source': {**LOADER, 'sampler': {}}},
            ('source',),
            'train_dataloader.source must have batch_size and dataset',
        ),
        ({'source': {'batch_size': 1}}, ('source',), 'got the keys batch_size'),
    ],
)
def test_wrong_dataloaders_are_named(dataloader, domains, message):
    with pytest.raises(ValueError, match=message):
        domain_configs(dataloader, domains)


def test_domains_with_other_classes_are_refused(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path)
    config.train_dataloader.target.dataset.metainfo = {'classes': ('dark', 'bright')}
    with pytest.raises(ValueError, match='target has other classes than source'):
        train(config)


def test_streams_differ_and_workers_do_not_change_them(toy_root, tmp_path):
    runners = [train(toy_config(toy_root, tmp_path / str(workers), num_workers=workers)) for workers in (0, 2)]
    assert runners[0].model.seen == runners[1].model.seen
    assert same_weights(runners[0].model, runners[1].model)
    streams = {name: [batch[name] for batch in runners[0].model.seen] for name in ('source', 'target')}
    assert streams['source'] != streams['target']


def test_source_only_loads_no_target(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=1, domains=('source',)))
    assert runner.model.seen[0].keys() == {'source'}


def test_joined_sources_and_targets_resume_bit_for_bit_and_are_validated_side_by_side(toy_root, tmp_path):
    def joined(dataset, first, second):
        parts = [{**dataset, 'indices': list(indices)} for indices in (first, second)]
        return dict(type='ConcatDataset', names=['first', 'second'], datasets=parts)

    def config(name):
        config = toy_config(toy_root, tmp_path / name)
        dataset = config.val_dataloader.dataset.to_dict()
        config.val_dataloader.dataset = joined(dataset, range(3), range(3, 8))
        # Rare classes are counted over both sources.
        config.train_cfg.source_sampling = dict(type='RareClassDataset', temperature=1.0, min_pixels=0)
        config.train_dataloader.source.dataset = joined(dataset, range(6), range(6, 8))
        config.train_dataloader.target.dataset = joined(dataset, range(2), range(2, 8))
        return config

    whole = train(config('whole'))
    train(config('cut'), train_cfg=dict(max_iters=4))
    resumed = train(config('cut'), resume=True)
    assert len(resumed.model.seen) == 2 and resumed.model.seen == whole.model.seen[4:]
    assert same_weights(resumed.model, whole.model)
    scores = json.loads((tmp_path / 'whole' / 'validation.json').read_text())
    assert list(scores['datasets']) == ['first', 'second']
    assert scores['mIoU'] == pytest.approx((scores['mIoU_first'] + scores['mIoU_second']) / 2, abs=1e-3)
    records = [json.loads(line) for line in next((tmp_path / 'whole').glob('*/vis_data/scalars.json')).open()]
    assert sum('mIoU_second' in record for record in records) == 2


def interrupt_at(runner, iteration, signum=signal.SIGINT):
    """Sends a signal in the middle of a training step."""
    step = runner.model.train_step

    def interrupted_step(data, optim_wrapper):
        if runner.iter + 1 == iteration:
            os.kill(os.getpid(), signum)
        return step(data, optim_wrapper)

    runner.model.train_step = interrupted_step


@pytest.mark.parametrize(
    'signum, status, num_workers',
    [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 1), (signal.SIGHUP, 129, 1), (signal.SIGUSR1, 138, 0)],
)
def test_an_interrupted_and_resumed_run_equals_the_uninterrupted_one(
    toy_root, tmp_path, signum, status, num_workers, nine_iterations
):
    whole = nine_iterations
    config = toy_config(toy_root, tmp_path / 'cut', max_iters=9, num_workers=num_workers)
    runner = build_runner(config)
    interrupt_at(runner, 5, signum)
    handler = signal.getsignal(signum)
    with pytest.raises(SystemExit) as stop:
        runner.train()
    assert stop.value.code == status
    assert signal.getsignal(signum) is handler
    assert runner.iter == 5 and len(runner.model.seen) == 5
    assert Path(tmp_path / 'cut' / 'last_checkpoint').read_text() == str(tmp_path / 'cut' / 'iter_5.pth')

    resumed = train(config, resume=True)
    assert len(resumed.model.seen) == 4
    assert runner.model.seen + resumed.model.seen == whole.model.seen
    assert same_weights(resumed.model, whole.model)
    first, second = (
        read_checkpoint(folder / 'iter_9.pth')['optimizer']['state'][0]
        for folder in (Path(whole.work_dir), tmp_path / 'cut')
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_interrupt_during_validation_stops_at_once_and_the_validation_is_made_up_for(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path, max_iters=4)
    runner = build_runner(config)
    tested = []

    def interrupted_val_step(data):
        tested.append(data)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError('the signal must end the validation')

    runner.model.val_step = interrupted_val_step
    with pytest.raises(SystemExit) as stop:
        runner.train()
    assert stop.value.code == 130 and len(tested) == 1
    assert read_checkpoint(tmp_path / 'iter_3.pth')['meta']['iter'] == 3

    resumed = build_runner(config, resume=True)
    validated_at = []
    resumed.val_loop.run = lambda: validated_at.append(resumed.iter)
    resumed.train()
    assert validated_at == [3, 4]


def test_a_second_interrupt_aborts_at_once(toy_root, tmp_path):
    runner = build_runner(toy_config(toy_root, tmp_path))
    interrupt_at(runner, 1)
    interrupt_at(runner, 1)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_what_processes_compare_at_the_start_depends_on_files_weights_and_iteration(toy_root, tmp_path):
    runner = build_runner(toy_config(toy_root, tmp_path))
    compared = []
    exchange = SimpleNamespace(gather=lambda value: [compared.append(value) or {}])
    view = SimpleNamespace(
        distributed=True, model=runner.model, iter=4, train_dataloader=runner.train_dataloader, host_exchange=exchange
    )
    check_same_start(view)
    check_same_start(view)
    runner.model.student[0].weight.data[0, 0, 0, 0] += 1e-6
    check_same_start(view)
    dataset = view.train_dataloader.loaders['target'].dataset.dataset
    dataset.get_data_info = lambda index: {'img_path': 'other.png'}
    check_same_start(view)
    first, again, weights, files = compared
    assert first == again and first['the start'].startswith('iteration 4, weights ')
    assert 'the data of source' in first and first['the data of target'].startswith('8 samples')
    assert {key for key in first if first[key] != weights[key]} == {'the start'}
    assert {key for key in first if weights[key] != files[key]} == {'the data of target'}


def test_validation_does_not_touch_the_random_state(toy_root, tmp_path):
    often = train(toy_config(toy_root, tmp_path / 'a', max_iters=4), **{'train_cfg.val_interval': 1})
    never = train(toy_config(toy_root, tmp_path / 'b', max_iters=4), **{'train_cfg.val_begin': 100})
    assert same_weights(often.model, never.model)


def test_dead_workers_count_as_interrupt_only_after_a_signal(toy_root, tmp_path):
    loop = build_runner(toy_config(toy_root, tmp_path)).train_loop

    guard = InterruptGuard()

    def dead():
        raise RuntimeError('DataLoader worker exited unexpectedly')
        yield

    loop.dataloader_iterator = dead()
    with pytest.raises(ChildProcessError, match='a loader worker was killed from outside'):
        loop._next_batch(guard)
    loop.dataloader_iterator = dead()
    with guard:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            loop._next_batch(guard)


@pytest.mark.parametrize('device, calls', [('cpu', 1), ('cuda', 0)])
def test_a_training_keeps_freed_memory_where_it_computes_on_the_cpu(device, calls, toy_root, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr('udass.engine.loop.get_device', lambda: device)
    monkeypatch.setattr('udass.engine.loop.disable_malloc_trim', lambda: made.append(True))
    train(toy_config(toy_root, tmp_path, max_iters=1))
    assert len(made) == calls


def test_other_c_libraries_are_left_alone(monkeypatch):
    assert disable_malloc_trim() in (True, False)
    monkeypatch.setattr('udass.engine.data_loader.ctypes.CDLL', lambda name: object())
    assert disable_malloc_trim() is False
