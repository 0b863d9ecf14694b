"""An iteration never waits for the device: neither the step of a method, of images or of video, nor the hooks around it
read a value of a tensor that lives there, between two lines of the log."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import ParamSchedulerHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, OptimWrapperDict, PolyLR
from mmengine.registry import init_default_scope
from torch.utils._python_dispatch import TorchDispatchMode

from tests.uda.small import CLASSES, FLOW_GUIDED, METHODS, SEGMENTOR, build, data_of
from udass.engine.diagnostics import PseudoLabelHook
from udass.engine.hooks import FiniteLossHook, ScalarLogHook
from udass.engine.optim import wrappers_by_name


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


class Iterations:
    """Iterations of a training: the step, and around it the default hooks that look at tensors, and the schedule.

    Args:
        model, optimizer: as of `build`.
    """

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
        loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
        self.runner = SimpleNamespace(
            model=model, optim_wrapper=optimizer, hooks=[], iter=0, epoch=0, max_iters=10**9, max_epochs=1, cfg={}
        )
        self.runner.train_loop, self.runner.train_dataloader = loop, loop.dataloader
        self.runner.message_hub = MessageHub.get_instance('no_waiting')
        self.hooks = [ScalarLogHook(), ParamSchedulerHook(), FiniteLossHook(), PseudoLabelHook()]
        self.runner.param_schedulers = [PolyLR(one, eta_min=0, end=10, by_epoch=False) for one in self.optimizers]
        for hook in self.hooks:
            hook.before_train(self.runner)

    @property
    def optimizers(self):
        return [one.optimizer for one in wrappers_by_name(self.optimizer).values()]

    def run(self, seed):
        """One iteration; returns its log."""
        data = data_of(self.model, seed)
        for hook in self.hooks:
            hook.before_train_iter(self.runner, self.runner.iter, data)
        log = self.model.train_step(data, self.optimizer)
        for hook in self.hooks:
            hook.after_train_iter(self.runner, self.runner.iter, data, log)
        self.runner.iter += 1
        return log


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_no_scalar_is_read(method):
    iterations = Iterations(*build(*METHODS[method]))
    iterations.run(0)
    with WatchReads('cpu') as watch:
        iterations.run(1)
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
    iterations = Iterations(model, optimizer)
    with WatchReads('meta') as watch:
        # QuadMix has a template from the second step on.
        for seed in range(2 if 'quadmix' in method else 1):
            log = iterations.run(seed)
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
