"""The tool that measures costs, on tiny sizes."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.logging import MMLogger

from tools import benchmark
from udass.streets.writer import write_streets

PROJECT = Path(__file__).parents[2]
QUADMIX, DAFORMER, GTA = (
    str(PROJECT / 'configs' / f'{name}.py')
    for name in ('benchmark_quadmix_mitb0', 'benchmark_daformer_mitb0', 'gta2cs_daformer')
)
TINY = ('--size', '64', '--batch', '1', '--repeats', '1', '--warmup', '0', '--device', 'cpu')


@pytest.fixture(autouse=True)
def as_before():
    """The tool is quiet and sets threads, which other tests must not notice."""
    logger = MMLogger.get_current_instance()
    before = logger.level, cv2.getNumThreads(), torch.get_num_threads()
    yield
    logger.setLevel(before[0])
    cv2.setNumThreads(before[1])
    torch.set_num_threads(before[2])


def args_of(*arguments):
    return benchmark.parse_args([str(argument) for argument in arguments])


def measured(tmp_path, *arguments):
    path = tmp_path / 'sub' / 'result.json'
    benchmark.run(args_of(*arguments, *TINY, '--json', path))
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    'what, printed',
    [('step', 'step of'), ('infer', 'inference of'), ('mix', 'QuadMix, 1 x 64x64'), ('flow', 'flow at 64x64')],
)
def test_a_suite_prints_a_table_and_writes_json(what, printed, tmp_path, capsys):
    result = measured(tmp_path, what, DAFORMER)
    assert set(result) == {'arguments', 'config', 'machine', what} and result['config'] == ['benchmark_daformer_mitb0']
    assert (result['arguments']['size'], result['arguments']['repeats']) == ([64], 1)
    assert result['machine']['torch'] == torch.__version__
    assert result['machine']['threads'] == torch.get_num_threads()
    text = capsys.readouterr().out
    assert printed in text and text.count('+--') >= 2


def test_the_loader_suite_prints_a_table_and_writes_json(tmp_path, capsys):
    root = tmp_path / 'streets'
    write_streets(root, size=(128, 256), workers=1, counts=dict(game=dict(train=4)), clip_counts={})
    result = measured(
        tmp_path,
        'loader',
        DAFORMER,
        '--workers',
        '0',
        '--cfg-options',
        f'train_dataloader.source.dataset.data_root={root}',
    )
    assert result['loader']['pictures'] == 4 and result['loader']['rare_class']['loads_per_sample'] >= 1
    text = capsys.readouterr().out
    assert 'transform of the source' in text and 'rare-class sample' in text and 'RareClassCrop' in text


def test_published_sizes_of_the_loader_draw_files(monkeypatch):
    seen = []

    def look(config, folder, workers, repeats):
        seen.append((len(list(folder.rglob('*.png'))), workers, repeats))
        return {}

    monkeypatch.setattr(benchmark, '_DRAWN', 1)
    monkeypatch.setattr(benchmark, 'benchmark_loader', look)
    args = args_of('loader', GTA, '--published-sizes', '--workers', '3', '--repeats', '4')
    benchmark.run_loader(args, benchmark.build_configs(args))
    assert seen == [(2, 3, 4)]


def test_all_runs_every_suite_in_turn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'to_text', lambda name, result: f'{name}: {result}')
    for name in benchmark.SUITES:
        monkeypatch.setitem(benchmark.SUITES, name, lambda args, configs, name=name: name.upper())
    result = measured(tmp_path, 'all')
    assert list(result) == ['arguments', 'config', 'machine', 'loader', 'step', 'infer', 'mix', 'flow']
    assert capsys.readouterr().out.split('\n')[0] == 'loader: LOADER'


def test_two_configs_are_compared(tmp_path, capsys):
    result = measured(tmp_path, 'infer', DAFORMER, '--against', QUADMIX)
    assert (
        [row['config'] for row in result['infer']['rows']]
        == result['config']
        == ['benchmark_daformer_mitb0', 'benchmark_quadmix_mitb0']
    )
    assert result['infer']['ratio']['median'] > 0 and 'second to first: ' in capsys.readouterr().out


@pytest.mark.slow
def test_a_config_with_and_without_a_switch_is_compared_step_by_step(tmp_path, capsys):
    result = measured(tmp_path, 'step', DAFORMER, '--against-options', 'channels_last=True')
    assert result['config'] == ['benchmark_daformer_mitb0', 'benchmark_daformer_mitb0, channels_last=True']
    (entry,) = result['step']['ratios']
    assert entry['time']['median'] > 0 and entry['memory'] == pytest.approx(1, rel=0.3)
    assert 'second to first, batch 1, crops of 64x64: time ' in capsys.readouterr().out


def test_options_reach_both_configs_and_switches_the_second_only():
    args = args_of(
        'step',
        DAFORMER,
        '--against',
        QUADMIX,
        '--cfg-options',
        'model.ema.alpha=0.5',
        '--against-options',
        'model.ema.copy_buffers=True',
    )
    first, second = benchmark.build_configs(args).items()
    assert (first[0], second[0]) == ('benchmark_daformer_mitb0', 'benchmark_quadmix_mitb0, model.ema.copy_buffers=True')
    assert first[1].model.ema.alpha == second[1].model.ema.alpha == 0.5
    assert 'copy_buffers' not in first[1].model.ema and second[1].model.ema.copy_buffers is True
    assert second[1].model.mixing.type == 'QuadMix'


def test_threads_of_torch_are_a_choice(tmp_path):
    assert measured(tmp_path, 'flow', DAFORMER, '--threads', '2')['machine']['threads'] == 2


@pytest.mark.parametrize(
    'arguments, message',
    [
        (('step', '--device', 'mps'), "device is cpu, cuda or cuda:N.*got 'mps'"),
        (('loader', '--repeats', '0'), 'repeats and threads are at least 1'),
        (('step', '--size', '0'), 'sizes, batches'),
        (('loader', '--workers', '-1'), 'workers at least 0'),
        (('infer', '--size', '64', '128'), 'several sizes or batches are for steps; infer takes one of each'),
    ],
)
def test_senseless_arguments_are_refused_at_once(arguments, message):
    # The last of two equal options counts, and this machine may have a GPU.
    with pytest.raises(ValueError, match=message):
        benchmark.run(args_of(arguments[0], '--device', 'cpu', *arguments[1:]))


def test_a_config_is_not_compared_with_itself():
    with pytest.raises(ValueError, match='is compared with itself: give --against another config, or --against-opt'):
        benchmark.build_configs(args_of('step', DAFORMER, '--against', DAFORMER))


@pytest.mark.parametrize('what', ['mix', 'flow', 'loader', 'all'])
def test_only_steps_and_inference_compare_configs(what):
    with pytest.raises(ValueError, match=f'configs are compared in step and infer; {what} takes one config'):
        benchmark.run(args_of(what, DAFORMER, '--against', QUADMIX))


def test_published_sizes(monkeypatch):
    seen = {}
    for name in ('step', 'inference', 'mixing', 'ema', 'flow'):
        monkeypatch.setattr(benchmark, f'benchmark_{name}', lambda *args, name=name: seen.update({name: args}))
    monkeypatch.setattr(benchmark, 'build_network', lambda config: None)
    for options in ([], ['--published-sizes']):
        args = args_of('step', GTA, '--size', '64', '96', '--batch', '3', '1', '--device', 'cpu', *options)
        configs = benchmark.build_configs(args)
        for name in ('step', 'infer', 'mix', 'flow'):
            benchmark.SUITES[name](args, configs)
        given = seen['step'][2], seen['inference'][2], seen['mixing'][1], seen['flow'][0]
        assert given == (
            ([(512, 512)], (1024, 2048), (1024, 1024), (1024, 2048))
            if options
            else ([(64, 64), (96, 96)], (64, 64), (64, 64), (64, 64))
        )
        assert seen['step'][1] == [3, 1] and seen['inference'][1] == seen['mixing'][0] == 3


def test_the_published_crop_is_that_of_the_config():
    gta = PROJECT / 'configs' / 'gta2cs_quadmix.py'
    configs = benchmark.build_configs(args_of('step', DAFORMER, '--against', gta))
    assert [benchmark.published_crop(config) for config in configs.values()] == [(128, 192), (1024, 1024)]
    config = configs['benchmark_daformer_mitb0']
    config.train_dataloader.source.dataset.pipeline = [dict(type='LoadImage')]
    with pytest.raises(ValueError, match='crops nothing, so that there is no published crop size: give --size'):
        benchmark.published_crop(config)


def test_the_command_line_runs_and_its_errors_are_one_message(tmp_path, monkeypatch, capsys):
    tool = str(PROJECT / 'tools' / 'benchmark.py')
    monkeypatch.setattr(sys, 'argv', [tool, 'flow', DAFORMER, *TINY])
    runpy.run_path(tool, run_name='__main__')
    assert 'DIS medium' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', [tool, 'mix', DAFORMER, '--against', QUADMIX])
    with pytest.raises(SystemExit, match='error: configs are compared in step and infer; mix takes one config'):
        runpy.run_path(tool, run_name='__main__')
