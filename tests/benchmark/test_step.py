"""Steps of tiny methods on made-up data: what is built, and what is reported."""

import copy
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.uda.small import CLASSES, METHODS, SEGMENTOR
from tests.uda.test_methods import PASSES
from udass.benchmark import step as steps
from udass.benchmark.step import benchmark_step, build_training, measure_memory, metainfo_of
from udass.engine.config import load_config

CPU = torch.device('cpu')
CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def config_of(method, **train_cfg):
    """A config of a tiny method, as much of it as a benchmark of steps reads."""
    components, segmentor = copy.deepcopy(METHODS[method])
    components = {'type': 'DomainAdapter', **components}
    if 'mixing' in components and 'QuadMix' in components['mixing']['type']:
        # Late, as in the published runs: the benchmark goes to where all passes run.
        components['mixing']['start_iter'] = 6000
    metainfo = dict(classes=CLASSES, thing_classes=['car', 'pole'], rare_classes=[dict(name='pole')])
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    if 'adaptation_loss' in components and components['adaptation_loss']['type'] == 'AdversarialAlignment':
        wrapper = dict(constructor='ChildOptimWrapperConstructor', student=wrapper, adaptation_loss=wrapper)
    return Config(
        dict(
            model=dict(components, student=segmentor),
            train_cfg=train_cfg,
            optim_wrapper=wrapper,
            train_dataloader=dict(
                source=dict(dataset=dict(type='StreetsDataset', data_root='gone', metainfo=metainfo))
            ),
        )
    )


def log_of(training):
    training.model.train()
    return training.model.train_step(training.data(), training.optimizer)


def passes_of(log):
    return {key.split('.')[0] for key in log if '.' in key}


@pytest.mark.parametrize('method', METHODS)
def test_every_method_is_built_where_all_its_passes_run(method):
    training = build_training(config_of(method), 2, (64, 64), CPU)
    logs = [log_of(training) for _ in range(2)]
    # The first step has no templates yet.
    assert passes_of(logs[1]) == PASSES[method]
    assert training.model.iteration == (6002 if 'quadmix' in method else 2)


def test_feature_mixing_starts_too():
    config = config_of('quadmix_features')
    config.model.feature_mixing.start_iter = 8000
    assert build_training(config, 1, (64, 64), CPU).model.iteration == 8000


@pytest.mark.parametrize(
    'long_tail, number',
    [(None, 0), (dict(type='LongTailDataset'), 2 * 2 * 3), (dict(type='LongTailDataset', draws=1, mixes=2), 1 * 2 * 3)],
)
def test_rare_classes_are_pasted_as_often_as_the_config_says(long_tail, number):
    training = build_training(config_of('quadmix', long_tail=long_tail), 3, (64, 64), CPU)
    assert len(training.data().get('long_tail', dict(inputs=[]))['inputs']) == number


def test_every_step_has_data_of_its_own():
    training = build_training(config_of('source_only'), 1, (64, 96), CPU)
    first, second = (training.data()['source']['inputs'][0] for _ in range(2))
    assert first.shape == second.shape == (3, 64, 96) and not torch.equal(first, second)


@pytest.mark.parametrize(
    'backbone',
    [
        dict(SEGMENTOR['backbone'], init_cfg=dict(type='Pretrained', checkpoint='gone.pth')),
        dict(type='TimmBackbone', name='resnet10t', out_indices=(1, 2, 3, 4), pretrained=True),
        dict(type='TimmBackbone', name='resnet10t', out_indices=(1, 2, 3, 4), checkpoint='gone.pth'),
    ],
)
def test_start_weights_are_neither_read_nor_fetched(backbone, monkeypatch):
    def fetch(name):
        raise AssertionError(f'fetches {name}')

    monkeypatch.setattr('udass.models.backbones.timm.fetch_weights', fetch)
    config = config_of('source_only')
    config.model.student.backbone = backbone
    if backbone['type'] == 'TimmBackbone':
        config.model.student.decode_head.in_channels = [64, 128, 256, 512]
    training = build_training(config, 1, (64, 64), CPU)
    assert passes_of(log_of(training)) == {'source'}
    assert config.model.student.backbone == backbone, 'the config stays as it was'


def test_the_model_must_be_a_domain_adapter():
    config = config_of('source_only')
    config.model = dict(SEGMENTOR)
    with pytest.raises(ValueError, match='of a benchmark of steps is a DomainAdapter; got SlidingEncoderDecoder'):
        build_training(config, 1, (64, 64), CPU)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_source_of_every_config_tells_its_classes(path):
    config = load_config(path)
    metainfo = metainfo_of(config.to_dict())
    assert len(metainfo['classes']) == config.model.student.decode_head.get(
        'num_classes', config.model.student.decode_head.get('head', {}).get('num_classes')
    )
    assert set(metainfo['thing_classes']) <= set(metainfo['classes'])
    assert {entry['name'] for entry in metainfo['rare_classes']} < set(metainfo['classes'])


def test_metainfo_of_the_config_goes_before_that_of_the_class():
    source = dict(type='GTA', data_root='gone', metainfo=dict(rare_classes=[]))
    metainfo = metainfo_of(dict(train_dataloader=dict(source=dict(dataset=source))))
    assert metainfo['rare_classes'] == [] and metainfo['classes'][18] == 'bicycle'


def test_two_configs_give_a_row_for_each_batch_and_size_and_their_ratios(monkeypatch):
    configs = dict(plain=config_of('source_only'), quadmix=config_of('quadmix'))
    peaks = iter([10, 20, 30, 40, 5, 30, 90, 160])
    monkeypatch.setattr(steps, 'measure_memory', lambda build, device: next(peaks))
    result = benchmark_step(configs, [1, 2], [(64, 64), (64, 96)], 3, 1, CPU)
    rows = result['rows']
    names = [(row['config'], row['batch'], row['size']) for row in rows]
    assert names == [(name, batch, size) for name in configs for batch in (1, 2) for size in ([64, 64], [64, 96])]
    for row in rows:
        assert row['repeats'] == 3 and 0 < row['low'] <= row['median'] <= row['high']
        pixels = row['batch'] * math.prod(row['size'])
        assert row['microseconds_per_pixel'] == pytest.approx(1e6 * row['median'] / pixels)
        assert 0 < row['networks'] < 1
        expected = {'source'} if row['config'] == 'plain' else {'source', 'tss', 'tst', 'masked', 'teacher', 'EMA'}
        assert expected <= set(row['stages'])
    assert [row['peak_bytes'] for row in rows] == [10, 20, 30, 40, 5, 30, 90, 160]
    ratios = result['ratios']
    assert [(entry['batch'], entry['size']) for entry in ratios] == [entry[1:] for entry in names[:4]]
    assert [entry['memory'] for entry in ratios] == [0.5, 1.5, 3, 4]
    # Four passes, a teacher and an ImageNet network at the time of one pass.
    assert all(entry['time']['low'] > 1.5 for entry in ratios)


def test_one_config_has_no_ratio():
    result = benchmark_step(dict(plain=config_of('source_only')), [1], [(64, 64)], 1, 0, CPU)
    assert set(result) == {'rows'} and result['rows'][0]['peak_bytes'] > 0


def test_memory_grows_with_the_batch_and_counts_networks_and_optimizer():
    def peak(batch, optimizer='SGD'):
        config = config_of('source_only')
        config.optim_wrapper.optimizer = dict(type=optimizer, lr=0.1)
        return measure_memory(lambda: build_training(config, batch, (64, 64), CPU), CPU)

    model = build_training(config_of('source_only'), 1, (64, 64), CPU).model
    parameters = sum(4 * value.numel() for value in model.parameters())
    one, two, four = (peak(batch) for batch in (1, 2, 4))
    assert one > 2 * parameters and four - two == pytest.approx(2 * (two - one), rel=0.1)
    # Two moments of every parameter.
    assert peak(4, 'Adam') - four == pytest.approx(2 * parameters, rel=0.3)
    assert peak(1) == pytest.approx(one, rel=0.02), 'a measurement does not see the ones before'
