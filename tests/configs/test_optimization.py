"""What the optimizers of the published configs do: learning rates at given iterations, and which parameters decay."""

import re

import pytest
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, PARAM_SCHEDULERS
from torch import nn

from tests.configs.recipes import NAMES, parts
from tests.configs.small import CONFIGS, shrink_network

ITERATIONS = (0, 750, 1500, 20_000, 40_000)
# Rates as shares of the base rate at these iterations. The decay of images starts with the warm-up, that of the video
# transformer after it: half of its way lies at 20,750.
IMAGES = (1e-6, 0.490625490625, 0.9625, 0.5, 0)
CLIPS = (1e-6, 0.5000005, 1, 0.5194805195, 0)
# Power 0.9 to 250,000 and to 40,000.
LONG = (1, 0.9972995946, 0.9945983764, 0.9277031786, 0.8547741060)
ADAM = (1, 0.9831090700, 0.9661858312, 0.5358867313, 0)
CONSTANT = (1,) * 5
# Schedule -> part of the model -> factor of the rate and its course.
CURVES = {
    'adamw_40k': {'backbone': (1, IMAGES), 'decode_head': (10, IMAGES)},
    'adamw_40k_video': {'backbone': (1, CLIPS), 'decode_head': (10, CLIPS), 'fusion': (10, CLIPS)},
    'sgd_40k': {'backbone': (1, IMAGES), 'decode_head': (1, IMAGES)},
    'sgd_40k_adversarial': {'backbone': (1, IMAGES), 'decode_head': (1, IMAGES), 'adaptation_loss': (1, ADAM)},
    # The published loop sets the rates of backbone and fusion only.
    'sgd_40k_video': {
        'backbone': (1, LONG),
        'decode_head': (10, CONSTANT),
        'auxiliary_head': (10, CONSTANT),
        'fusion': (10, LONG),
    },
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def schedule(name):
    """The most special of the schedules that a config is made of and that has a curve of its own."""
    found = [part.removeprefix('_base_/schedules/') for part in parts(name)]
    return next(part for part in found if part in CURVES)


def optimizers(config):
    """Config of each optimizer with its schedules, by the child of the model that it trains."""
    if 'student' in config.optim_wrapper:
        return {child: (config.optim_wrapper[child], chain) for child, chain in config.param_scheduler.items()}
    return {'student': (config.optim_wrapper, config.param_scheduler)}


class Tiny(nn.Module):
    """One parameter per part that has a rate of its own."""

    def __init__(self, names):
        super().__init__()
        self.student = nn.ModuleDict({name: nn.Linear(1, 1) for name in names if name != 'adaptation_loss'})
        if 'adaptation_loss' in names:
            self.adaptation_loss = nn.Linear(1, 1)


def groups_by_name(model, wrapper):
    """Parameter group of each trained parameter."""
    children = [child for _, child in wrapper.items()] if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    groups = {id(value): group for child in children for group in child.param_groups for value in group['params']}
    return {name: groups[id(value)] for name, value in model.named_parameters() if value.requires_grad}


@pytest.fixture(scope='module')
def distinct():
    """Schedule -> one config of each optimizer with it."""
    found = {}
    for name in NAMES:
        if any('/adamw_40k_vfm' in part for part in parts(name)):
            # Theirs are in test_vfm_schedules.py.
            continue
        config = Config.fromfile(CONFIGS / f'{name}.py')
        found.setdefault(schedule(name), {})[str((config.optim_wrapper, config.param_scheduler))] = config
    return {name: list(configs.values()) for name, configs in found.items()}


# There is nothing to optimize here.
@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.slow
@pytest.mark.parametrize('name', CURVES)
def test_learning_rate(name, distinct):
    for config in distinct[name]:
        check_learning_rate(config, CURVES[name])


def check_learning_rate(config, expected):
    model = Tiny(expected)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    several = isinstance(wrapper, OptimWrapperDict)
    schedulers = [
        PARAM_SCHEDULERS.build({**entry, 'optimizer': wrapper[child] if several else wrapper})
        for child, (_, chain) in optimizers(config).items()
        for entry in chain
    ]
    groups = groups_by_name(model, wrapper)
    found = {part: [] for part in expected}
    for iteration in range(ITERATIONS[-1] + 1):
        if iteration in ITERATIONS:
            for part, rates in found.items():
                rates.append(next(group['lr'] for key, group in groups.items() if part in key))
        for scheduler in schedulers:
            scheduler.step()
    for part, (factor, shares) in expected.items():
        base = optimizers(config)['adaptation_loss' if part == 'adaptation_loss' else 'student'][0].optimizer.lr
        assert found[part] == pytest.approx([factor * base * share for share in shares], rel=1e-6, abs=1e-15), part


# Config -> decay, how many parameters do not decay and which, parts at ten times the rate. MiT-B0: a norm per patch
# embedding (4), stage (4), two per block (16) and one per block that reduces its keys (6), a weight and a bias each.
MIT_NORMS = r'backbone\.layers\.\d\.(0\.norm|1\.\d+\.(norm[12]|attn\.norm)|2)\.(weight|bias)$'
DECAY = {
    'gta2cs_daformer': (0.01, 60, MIT_NORMS, ('decode_head',)),
    'gta2cs_quadmix': (0.01, 60, MIT_NORMS, ('decode_head',)),
    'gta2cs_dacs': (0.01, 0, 'nothing', ('decode_head',)),
    'gta2cs_quadmix_cnn': (0.01, 0, 'nothing', ('decode_head',)),
    'gta2cs_minent': (5e-4, 0, 'nothing', ()),
    'gta2cs_advseg': (5e-4, 0, 'nothing', ()),
    'viper2csseq_quadmix': (0.01, 60, MIT_NORMS, ('decode_head', 'fusion')),
    'synseq2csseq_tps': (5e-4, 0, 'nothing', ('decode_head', 'auxiliary_head', 'fusion')),
    'viper2csseq_quadmix_cnn': (5e-4, 0, 'nothing', ('decode_head', 'auxiliary_head', 'fusion')),
}


@pytest.mark.parametrize('name', DECAY)
def test_which_parameters_decay_and_learn_faster(name):
    decay, number, pattern, fast = DECAY[name]
    config = Config.fromfile(CONFIGS / f'{name}.py')
    shrink_network(config.model.student)
    model = nn.ModuleDict({'student': MODELS.build(config.model.student)})
    options = optimizers(config)['student'][0]
    groups = groups_by_name(model, build_optim_wrapper(model, options))
    exempt = {parameter for parameter in groups if re.search(pattern, parameter)}
    assert len(exempt) == number
    for parameter, group in groups.items():
        assert group['weight_decay'] == (0 if parameter in exempt else decay), parameter
        rate = options.optimizer.lr * (10 if parameter.split('.')[1] in fast else 1)
        assert group['lr'] == pytest.approx(rate), parameter
