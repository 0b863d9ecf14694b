"""The schedules of VFM-UDA and VFM-UDA++: the rate of each parameter in each phase, against the published formulas."""

import math
import re
from collections import Counter

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, PARAM_SCHEDULERS
from torch import nn

from tests.configs.small import CONFIGS
from tests.configs.test_optimization import groups_by_name
from udass.engine.optim import scale_learning_rates

SCHEDULES = ('adamw_40k_vfmuda', 'adamw_40k_vfmudapp')
TOTAL_BATCH = 8
HEAD = 5e-5 * math.sqrt(TOTAL_BATCH)
# Shares of the full rate: the warm-up is linspace(1e-3, 1, 1500), from then on it is 1 - iteration / 40,000.
SHARES = {0: 1e-3, 1: 1e-3 + 0.999 / 1499, 1499: 1.0, 1500: 0.9625, 1501: 0.962475, 20_000: 0.5, 39_999: 2.5e-5}
ADAPTER = r'\.(level_embed|spm|interactions|up|norm[1-4])'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(name, backbone):
    """A model with a ViT-S and a head, and its optimizer at the rates for `TOTAL_BATCH`."""
    config = Config.fromfile(CONFIGS / '_base_' / 'schedules' / f'{name}.py')
    with torch.device('meta'):
        student = nn.ModuleDict({'backbone': MODELS.build(backbone), 'decode_head': nn.Conv2d(2, 2, 1)})
    model = nn.ModuleDict({'student': student})
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    scale_learning_rates(wrapper, TOTAL_BATCH, config.auto_scale_lr)
    return model, wrapper


def vit(kind, name, **options):
    return dict(type=kind, name=name, pretrained=False, **options)


DINOV2 = vit('DINOv2', 'vit_small_patch14_dinov2', mask_token=True)
ADAPTED = vit('ViTAdapter', 'vit_small_patch14_dinov2')
DINOV3 = vit('TimmViT', 'vit_small_patch16_dinov3', mask_token=True)


# There is nothing to optimize here.
@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.parametrize('name', SCHEDULES)
def test_rates_over_time(name):
    config = Config.fromfile(CONFIGS / '_base_' / 'schedules' / f'{name}.py')
    wrapper = build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=config.optim_wrapper.optimizer))
    scale_learning_rates(wrapper, TOTAL_BATCH, config.auto_scale_lr)
    chain = [PARAM_SCHEDULERS.build({**entry, 'optimizer': wrapper}) for entry in config.param_scheduler]
    found = {}
    for iteration in range(config.max_iters):
        if iteration in SHARES:
            found[iteration] = wrapper.param_groups[0]['lr']
        for scheduler in chain:
            scheduler.step()
    assert found == pytest.approx({iteration: HEAD * share for iteration, share in SHARES.items()}, rel=1e-6)


@pytest.mark.parametrize('backbone', [DINOV2, DINOV3], ids=['dinov2', 'dinov3'])
def test_the_light_one_has_two_rates(backbone):
    model, wrapper = build('adamw_40k_vfmuda', backbone)
    for name, group in groups_by_name(model, wrapper).items():
        assert group['lr'] == pytest.approx(HEAD * (0.1 if 'backbone' in name else 1)), name
        assert group['weight_decay'] == 0.01, name


def expected_factor(name):
    """By the published rule: 0.1 for the last of 12 blocks, 0.9 of it for each further one, the inputs below all."""
    block = re.search(r'\.blocks\.(\d+)\.', name)
    if block is not None:
        return 0.1 * 0.9 ** (11 - int(block[1]))
    if '.decode_head.' in name or re.search(rf'backbone{ADAPTER}', name):
        return 1.0
    return 0.1 if '.net.norm.' in name else 0.1 * 0.9**12


@pytest.mark.parametrize('backbone', [ADAPTED, DINOV2, DINOV3], ids=['adapter', 'dinov2', 'dinov3'])
def test_each_block_has_a_rate_of_its_own(backbone):
    model, wrapper = build('adamw_40k_vfmudapp', backbone)
    groups = groups_by_name(model, wrapper)
    assert groups.keys() == dict(model.named_parameters()).keys()
    for name, group in groups.items():
        assert group['lr'] == pytest.approx(HEAD * expected_factor(name), rel=1e-9), name
        assert group['weight_decay'] == 0.01, name
    # The twelve blocks, what is before them, and all that starts from nothing.
    assert len(Counter(round(group['lr'], 12) for group in groups.values())) == 14


def test_factors_multiply_other_options():
    model, _ = build('adamw_40k_vfmudapp', DINOV2)
    options = dict(lr_mult=0.1, decay_rate=0.5, norm_decay_mult=0.0, custom_keys={'blocks.11.mlp': dict(lr_mult=3.0)})
    config = dict(optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1), paramwise_cfg=options)
    groups = groups_by_name(model, build_optim_wrapper(model, dict(config, constructor='LayerDecayConstructor')))
    rate = {
        name.removeprefix('student.backbone.net.'): (group['lr'], group['weight_decay'])
        for name, group in groups.items()
    }
    assert rate['blocks.11.mlp.fc1.weight'] == pytest.approx((0.3, 0.1))
    assert rate['blocks.10.norm1.weight'] == pytest.approx((0.05, 0.0))
    assert rate['blocks.0.attn.qkv.weight'] == pytest.approx((0.1 * 0.5**11, 0.1))


@pytest.mark.parametrize(
    'options', [dict(lr_mult=0.1), dict(lr_mult=0, decay_rate=0.9), dict(lr_mult='0.1', decay_rate=1)]
)
def test_missing_or_useless_factors_are_refused(options):
    with pytest.raises(ValueError, match='lr_mult .* and decay_rate .* larger than 0; got'):
        wrapper_of(nn.Linear(1, 1), options)


def test_other_backbones_are_refused():
    with pytest.raises(ValueError, match='Linear has no TimmViT, DINOv2 or ViTAdapter'):
        wrapper_of(nn.Linear(1, 1), dict(lr_mult=0.1, decay_rate=0.9))


def wrapper_of(model, options):
    config = dict(optimizer=dict(type='SGD', lr=1.0), paramwise_cfg=options, constructor='LayerDecayConstructor')
    return build_optim_wrapper(model, config)


@pytest.mark.parametrize('options', [dict(rule='sqrt'), dict(base_batch_size=4, rule='cubic'), dict(base_batch_size=0)])
def test_rules_of_the_batch_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match='auto_scale_lr takes base_batch_size'):
        scale_learning_rates(wrapper_of_nothing(), 8, options)


def test_the_linear_rule_is_the_default():
    wrapper = wrapper_of_nothing()
    scale_learning_rates(wrapper, 6, dict(enable=True, base_batch_size=4))
    assert wrapper.get_lr()['lr'] == [1.5]


def wrapper_of_nothing():
    return build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=1.0)))
