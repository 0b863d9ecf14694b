"""The command that measures costs, on tiny sizes."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from tests.cli.calls import call
from tests.uda.small import CLASSES, METHODS, build
from udass.benchmark import command, gpu
from udass.benchmark.measure import measure_memory, measure_time
from udass.benchmark.synthetic import random_batch, random_labels
from udass.engine.config import load_config
from udass.streets.writer import write_streets
from udass.uda import VideoAdapter

CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL, QUADMIX = (CONFIGS / f'streets_{name}.py' for name in ('source_only', 'quadmix'))
TINY = ('--size', '64', '--batch', '1', '--seconds', '0.01', '--device', 'cpu')
CPU = torch.device('cpu')
BYTES = 4 * 2**20


@pytest.fixture(autouse=True)
def as_before():
    """The command is quiet and sets threads, which other tests must not notice."""
    logger, threads = MMLogger.get_current_instance(), torch.get_num_threads()
    level = logger.level
    init_default_scope('mmseg')
    yield
    logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.mark.parametrize('what', ['step', 'mix', 'infer'])
def test_time_and_memory_are_measured(what, tmp_path, capsys):
    result = call(command, what, SMALL, *TINY, '--json', tmp_path / 'new' / 'a.json', '--profile')
    (row,) = result['rows']
    assert 0 < row['low'] <= row['median'] <= row['high'] and row['peak_bytes'] > 64 * 64 * 3
    assert row['samples_per_second'] == pytest.approx(1 / row['mean']) and row['ratio'] == 1
    assert json.loads((tmp_path / 'new' / 'a.json').read_text()) == result
    printed = capsys.readouterr().out
    assert '| streets_source_only |' in printed and 'Self CPU %' in printed


@pytest.mark.slow
def test_configs_are_compared_with_the_first():
    """QuadMix goes back through the network four times."""
    result = call(command, 'step', SMALL, QUADMIX, *TINY, '--threads', '1')
    assert [row['config'] for row in result['rows']] == ['streets_source_only', 'streets_quadmix']
    assert result['rows'][1]['ratio'] > 1 and result['machine']['threads'] == 1


def test_the_training_batches_of_a_config_are_measured(tmp_path):
    write_streets(tmp_path, size=(128, 256), workers=1, counts=dict(game=dict(train=4)), clip_counts={})
    settings = [f'dataset.data_root={tmp_path}', 'num_workers=0', 'batch_size=2']
    options = [f'train_dataloader.source.{setting}' for setting in settings]
    result = call(command, 'loader', SMALL, *TINY, '--cfg-options', *options)
    (row,) = result['rows']
    assert row['samples_per_second'] == pytest.approx(2 / row['mean']) and row['peak_bytes'] is None


@pytest.mark.parametrize(
    'arguments, message',
    [
        (('--device', 'tpu'), "device 'tpu' is unknown"),
        (('--size', '0'), '--size takes one or two numbers'),
        (('--seconds', '0'), '--seconds must be positive'),
    ],
)
def test_senseless_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        call(command, 'step', SMALL, '--device', 'cpu', *arguments)


def test_the_calls_are_counted():
    calls = []
    result = measure_time(lambda: calls.append(0), 0.01)
    assert result['repeats'] >= 1 and len(calls) > result['repeats'] and result['median'] < 0.01


def test_tensors_count_that_are_there_at_once():
    def tensor():
        return torch.zeros(BYTES // 4)

    before = tensor()
    outside = []
    for _ in range(2):
        assert measure_memory(lambda: (tensor(), tensor()), CPU) == pytest.approx(2 * BYTES, rel=0.02)
        assert measure_memory(lambda: tensor().sum() + tensor().sum(), CPU) == pytest.approx(BYTES, rel=0.02)
        # Lives on after the measurement, and is freed where nobody looks.
        assert measure_memory(lambda: outside.append(tensor()), CPU) == pytest.approx(BYTES, rel=0.02)
        outside.clear()
    assert measure_memory(lambda: before.add_(1), CPU) < 0.02 * BYTES
    assert measure_memory(lambda: None, CPU) == 0


@pytest.mark.parametrize('method', ['source_only', 'dacs', 'quadmix', 'quadmix_video'])
def test_methods_train_on_random_batches(method):
    model, optimizer = build(*METHODS[method])
    data = [random_batch(model, 2, (64, 96), seed, long_tail_draws=2) for seed in range(2)]
    logs = [model.train_step(batches, optimizer) for batches in data]
    assert all(torch.isfinite(value) for value in logs[-1].values())
    assert ('target' in data[0]) == model.needs_target and ('long_tail' in data[0]) == ('quadmix' in method)
    frames = dict(source=2, target=4, long_tail=2) if isinstance(model, VideoAdapter) else {}
    for domain, batch in data[0].items():
        inputs, sample, number = batch['inputs'][0], batch['data_samples'][0], frames.get(domain, 1)
        assert inputs.shape == ((number, 3, 64, 96) if number > 1 else (3, 64, 96)) and inputs.dtype == torch.uint8
        if domain != 'target':
            labels = sample.gt_sem_seg.data
            assert labels.shape == (number, 64, 96) and labels.min() >= 0 and labels.max() < len(CLASSES)


def test_labels_are_regions_of_any_class_cut_to_size():
    labels = random_labels(40, (40, 70), 6, torch.Generator().manual_seed(0))
    assert labels.shape == (40, 40, 70) and labels.dtype == torch.long and labels.unique().tolist() == list(range(6))
    assert (labels[:, :32, :32] == labels[:, :1, :1]).all() and (labels[:, 32:, 64:] == labels[:, -1:, -1:]).all()


@pytest.fixture
def small_rows(monkeypatch):
    """Rows like those of the command, of a small network."""
    rows = [
        gpu.Row('streets_source_only', 'fp32', {'tf32': False}),
        gpu.Row('streets_source_only', 'SyncBN', {'sync_bn': 'torch'}, in_group=True),
        gpu.Row('streets_source_only', 'bf16', {'amp': 'bf16'}, in_group=True),
    ]
    monkeypatch.setattr(gpu, 'ROWS', rows)
    return [f'{row.config}, {row.name}' for row in rows]


def test_the_table_of_a_gpu_goes_on_after_a_row_that_fails(small_rows, tmp_path, capsys):
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        result = call(command, 'gpu', *TINY, '--json', tmp_path / 'gpu.json')
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    assert json.loads((tmp_path / 'gpu.json').read_text()) == result
    single, sync_bn, half = result['rows']
    assert [row['config'] for row in result['rows']] == small_rows
    # There is no SyncBN without a GPU, and the group of that row is gone when the next one makes its own.
    assert sync_bn['error'].startswith("ValueError: sync_bn='torch' works on GPUs only") and 'error' not in half
    for row in (single, half):
        assert 0 < row['low'] <= row['median'] <= row['high'] and row['first_seconds'] > 0 and row['batch'] == 1
        assert row['peak_bytes'] > 0 and row['launches'] > 0 and row['idle'] is None
    assert single['ratio'] == 1 and half['ratio'] == half['median'] / single['median']
    printed = capsys.readouterr().out
    assert f'| {small_rows[1]} | ValueError' in printed


def test_the_seconds_of_a_row_begin_after_two_steps(monkeypatch):
    """On a clock that only the steps move: the first takes 5 seconds, the second 3 and every other one 1."""
    seconds = 0

    def step():
        nonlocal seconds
        seconds += {0: 5, 5: 3}.get(seconds, 1)

    def time_of_a_step(function, _):
        before = seconds
        function()
        return {'median': seconds - before, 'mean': seconds - before}

    monkeypatch.setattr(gpu, 'training_step', lambda *_: step)
    monkeypatch.setattr(gpu, 'perf_counter', lambda: seconds)
    monkeypatch.setattr(gpu, 'measure_time', time_of_a_step)
    args = argparse.Namespace(cfg_options=None, size=(64,), batch=2, seconds=1)
    row = gpu.measure(gpu.Row('streets_source_only', 'fp32', {}), args, CPU)
    assert (row['first_seconds'], row['median'], row['samples_per_second']) == (8, 1, 2)


def test_the_table_of_a_gpu_ends_with_its_time(small_rows):
    result = call(command, 'gpu', 'streets_source_only', *TINY, '--budget', '0')
    late = 'TimeoutError: the time given by --budget is over'
    assert [row['error'] for row in result['rows']] == 3 * [late]


def test_the_rows_of_the_gpu_are_configs_with_options_that_exist():
    for row in gpu.ROWS:
        pipeline = load_config(row.config, row.options).train_dataloader.source.dataset.pipeline
        assert [transform['crop_size'] for transform in pipeline if 'crop_size' in transform]
