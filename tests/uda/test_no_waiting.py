"""The step never waits for the device: no method reads a value of a tensor that lives there."""

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import init_default_scope
from torch.utils._python_dispatch import TorchDispatchMode

from tests.uda.small import FLOW_GUIDED, METHODS, SEGMENTOR, build, data_of


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


class WatchReads(TorchDispatchMode):
    """Notes every operation that hands a value to the host.

    Args:
        device: where the step runs; copies from there to elsewhere count.
    """

    def __init__(self, device):
        super().__init__()
        self.device = device
        self.reads = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        devices = {arg.device.type for arg in args if isinstance(arg, torch.Tensor)}
        leaves = isinstance(result, torch.Tensor) and self.device in devices and result.device.type != self.device
        if leaves or name in ('_local_scalar_dense', 'nonzero', 'is_nonzero', 'equal'):
            self.reads.append(name)
        return result


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_no_scalar_is_read(method):
    model, optimizer = build(*METHODS[method])
    model.train_step(data_of(model, 0), optimizer)
    with WatchReads('cpu') as watch:
        model.train_step(data_of(model, 1), optimizer)
    assert watch.reads == []


# Operations of the meta device are written in Python and slow: methods whose components all occur in another one are
# left out, and HRDA, which looks at an image several times, is run once.
ON_META = {
    **{method: METHODS[method] for method in ('minent', 'advseg', 'mic', 'tps')},
    'quadmix_video': (
        dict(METHODS['quadmix_video_cnn'][0], feature_mixing=METHODS['quadmix_video'][0]['feature_mixing']),
        FLOW_GUIDED,
    ),
    'mic_mixed': (METHODS['mic_mixed'][0], SEGMENTOR),
    'quadmix_features': (
        dict(METHODS['quadmix_features'][0], photometric=dict(type='PhotometricChange')),
        SEGMENTOR,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('method', ON_META)
def test_the_step_runs_on_a_device_that_cannot_be_read(method):
    """Tensors of the meta device have no values: whatever needs one fails, and copies to the host are seen."""
    model, optimizers = build(*ON_META[method])
    model.to('meta')
    # Adam counts its steps on the host, which is no wait.
    names = optimizers.keys() if isinstance(optimizers, OptimWrapperDict) else ['student']
    wrappers = {
        name: OptimWrapper(torch.optim.AdamW(getattr(model, name).parameters(), foreach=True)) for name in names
    }
    optimizer = OptimWrapperDict(**wrappers) if len(wrappers) > 1 else wrappers['student']
    with WatchReads('meta') as watch:
        # QuadMix has a template from the second step on.
        for seed in range(2 if 'quadmix' in method else 1):
            log = model.train_step(data_of(model, seed), optimizer)
    # Adam's own counters are host tensors.
    assert [read for read in watch.reads if read != '_local_scalar_dense'] == []
    assert all(value.device.type == 'meta' for value in log.values())


@pytest.mark.parametrize(
    ('read', 'is_seen'),
    [
        (lambda value: value.item(), True),
        (bool, True),
        (lambda value: value.cpu(), False),
        (lambda value: value[value > 0], False),
        (lambda value: value.tolist(), False),
    ],
    ids=['item', 'bool', 'cpu', 'index', 'tolist'],
)
def test_a_read_would_be_noticed(read, is_seen):
    with WatchReads('cpu') as watch:
        read(torch.ones(1))
    assert bool(watch.reads) == is_seen
    # What is no operation of its own on the host is impossible on the meta device.
    with pytest.raises((RuntimeError, NotImplementedError)):
        read(torch.ones(1, device='meta'))
