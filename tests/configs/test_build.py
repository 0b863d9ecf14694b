"""Every config builds at its full size: model, streams, optimizer and schedule."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch.optim import SGD

from tests.configs.recipes import NAMES, distinct
from tests.configs.small import VIDEO
from udass.engine.config import load_config
from udass.engine.data_loader import domain_configs

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))
# Other published configs have the networks and optimizers of these.
PUBLISHED_MODELS = distinct()
MODEL_CONFIGS = [path for path in CONFIGS if path.stem not in NAMES or path.stem in PUBLISHED_MODELS]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def fast_building(monkeypatch):
    """Start weights and log lines per parameter are not what is tested, and take most of the time of building."""
    for name in ('uniform_', 'normal_', 'erfinv_'):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, *args, **options: tensor)
    monkeypatch.setattr('mmengine.optim.optimizer.default_constructor.print_log', lambda *args, **options: None)


def optimizers(model, config):
    """Optimizer wrapper and schedulers per trained child of the model."""
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    if isinstance(wrapper, OptimWrapperDict):
        assert set(config.param_scheduler) == {name for name, _ in wrapper.items()}
        return [(model.get_submodule(name), child, config.param_scheduler[name]) for name, child in wrapper.items()]
    return [(model.student, wrapper, config.param_scheduler)]


@pytest.mark.slow
@pytest.mark.parametrize('path', MODEL_CONFIGS, ids=lambda path: path.stem)
def test_model_and_optimizer_build(path, fast_building, monkeypatch):
    config = load_config(path)
    large = config.model.student.backbone.type in ('DINOv2', 'TimmViT', 'ViTAdapter')
    if large:
        # Without the memory of several ViT-L, but then losses cannot be tried either.
        monkeypatch.setattr('udass.uda.checks.check_heads', lambda *args, **options: None)
    with torch.device('meta' if large else 'cpu'):
        model = MODELS.build(config.model)
    assert model.student_classes == number_of_classes(config.model.student)
    for module, wrapper, schedulers in optimizers(model, config):
        trained = {id(parameter) for group in wrapper.param_groups for parameter in group['params']}
        assert {id(parameter) for parameter in module.parameters() if parameter.requires_grad} <= trained
        last = schedulers[-1]
        # The published video runs with SGD stop long before their schedule does.
        end = 250_000 if path.stem in VIDEO and wrapper.optimizer.__class__ is SGD else config.train_cfg.max_iters
        assert last['end'] - end in (0, 1), 'the learning rate must reach its end with the last iteration'


def number_of_classes(student):
    head = student.decode_head
    return head.head.num_classes if head.type == 'HRDAHead' else head.num_classes


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_streams_build_and_the_network_has_their_classes(path):
    config = load_config(path)
    options = config.train_cfg
    streams = domain_configs(
        config.train_dataloader,
        options.get('domains', ('source', 'target')),
        options.get('source_sampling'),
        options.get('long_tail'),
    )
    for stream in streams.values():
        inner = stream['dataset']['dataset']
        for transform in inner['pipeline']:
            TRANSFORMS.build(transform)
        dataset = DATASETS.build({**inner, 'lazy_init': True})
        assert len(dataset.metainfo['classes']) == number_of_classes(config.model.student)
    target = config.train_dataloader.get('target')
    if target is not None:
        assert target.dataset.labelled is False
        assert not {'LoadLabels', 'LoadClipLabels'} & {transform.type for transform in target.dataset.pipeline}
    tested = config.test_dataloader.dataset
    for domain, loader in config.train_dataloader.items():
        if domain == 'target' and path.stem.startswith('streets2camvid_video_'):
            continue  # CamVid has one video: it is adapted to without labels, and tested on.
        # GTA and SYNTHIA have no splits, and nothing is tested on them.
        assert loader.dataset.type != tested.type or loader.dataset.split != tested.split
