"""How many kernels a training step of each method launches, and how many parameter groups its optimizers have.

A GPU waits for launches where kernels are short, and nothing else in the tests sees a loop over parameters or images.
"""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.benchmark.test_benchmark import CONFIGS
from tests.reference.networks import heads
from udass.benchmark.cases import training_step
from udass.benchmark.measure import LaunchCounter, count_launches
from udass.engine.optim import merge_groups, wrappers_by_name

# Launches of the second step, and groups of each optimizer: crops of 64, batch 2, and the smallest network of a kind,
# MiT-B0 or ResNet-50.
LAUNCHES = {
    'gta2cs_daformer': (1708, [3]),
    'gta2cs_hrda': (2355, [3]),
    'gta2cs_mic': (3446, [3]),
    'gta2cs_quadmix': (4500, [3]),
    'gta2cs_dacs': (1462, [2]),
    'gta2cs_advseg': (2139, [1, 1]),
    # Two frames, with the histograms of the source matched to the target's.
    'synseq2csseq_quadmix': (4632, [3]),
    'synseq2csseq_quadmix_cnn': (5568, [3]),
}
SIZE = 64
# Figures may grow by so much.
TOLERANCE = 1.05


def small_config(name, size=SIZE):
    """A published config with the smallest network of its kind, for crops of that size."""
    config = Config.fromfile(CONFIGS / f'{name}.py')
    student = config.model.student
    if student.backbone.type == 'MiT':
        student.backbone.variant = 'b0'
        for head in heads(student):
            head.in_channels = [32, 64, 160, 256]
    else:
        student.backbone.depth = 50
    if config.model.get('source_size'):
        config.model.source_size = (size, size)
    if 'crop_size' in student:
        # The detail has the size of the context, as in the published crops.
        student.crop_size = (size // 2, size // 2)
    return config


@pytest.mark.slow
@pytest.mark.parametrize('name', LAUNCHES)
def test_launches_and_groups_do_not_grow(name, monkeypatch):
    init_default_scope('mmseg')
    wrappers = []

    def merged(*arguments):
        wrappers.append(merge_groups(*arguments))
        return wrappers[0]

    monkeypatch.setattr('udass.benchmark.cases.merge_groups', merged)
    step = training_step(small_config(name), 2, (SIZE, SIZE), torch.device('cpu'))
    step()
    launches, groups = LAUNCHES[name]
    with LaunchCounter() as counter:
        step()
    assert counter.calls.total() <= TOLERANCE * launches
    if 'seq' in name:
        # The step matches the histograms of both source frames, and warps.
        assert counter.calls['searchsorted'] == 2 * 4 and counter.calls['grid_sampler_2d'] > 0
    found = [len(wrapper.optimizer.param_groups) for wrapper in wrappers_by_name(wrappers[0]).values()]
    assert found == groups


def test_what_is_counted():
    """Kernels, forward and backward, in inference mode, too; neither views nor allocations."""
    weight = torch.ones(3, 4, requires_grad=True)
    inputs = torch.ones(2, 4)

    def calls(function):
        with LaunchCounter() as counter:
            function()
        return dict(counter.calls)

    assert calls(lambda: torch.empty(3).view(1, 3).expand(2, 3).detach()) == {}
    assert calls(lambda: torch._foreach_add_([torch.ones(1), torch.ones(1)], 1)) == {'ones': 2, '_foreach_add_': 1}
    forward_backward = calls(lambda: torch.nn.functional.linear(inputs, weight).sum().backward())
    assert forward_backward == {'mm': 2, 'sum': 1, 'ones_like': 1}
    with torch.inference_mode():
        assert calls(lambda: torch.nn.functional.linear(inputs, weight)) == {'mm': 1}
    assert count_launches(lambda: inputs + inputs * 2) == 2
