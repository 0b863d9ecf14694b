"""Every config builds: model, streams, optimizer and schedule."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS, TRANSFORMS

import udass  # noqa: F401
from udass.engine.loops import domain_configs

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path):
    config = Config.fromfile(path)
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
    assert {id(parameter) for parameter in model.student.parameters()} <= trained
    options = config.train_cfg
    streams = domain_configs(config.train_dataloader, options.get('domains', ('source', 'target')),
                             options.get('source_sampling'), options.get('long_tail'))
    for stream in streams.values():
        inner = stream['dataset']['dataset']
        for transform in inner['pipeline']:
            TRANSFORMS.build(transform)
        dataset = DATASETS.build({**inner, 'lazy_init': True})
        assert len(dataset.metainfo['classes']) == model.student_classes
    last = [scheduler for scheduler in config.param_scheduler if scheduler['type'] == 'PolyLR'][-1]
    assert last['end'] == options.max_iters, 'the learning rate must reach its end with the last iteration'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_target_needs_no_labels_and_the_test_data_is_not_trained_on(path):
    config = Config.fromfile(path)
    target = config.train_dataloader.get('target')
    if target is not None:
        assert target.dataset.labelled is False
        assert 'LoadLabels' not in [transform.type for transform in target.dataset.pipeline]
    for loader in config.train_dataloader.values():
        assert loader.dataset.split != config.test_dataloader.dataset.split
