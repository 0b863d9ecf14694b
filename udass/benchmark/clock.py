"""Where the time of a training step goes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from udass.benchmark.timing import synchronize
from udass.uda.adapter import DomainAdapter
from udass.uda.networks import unwrap
from udass.uda.video import VideoAdapter

# Stages whose time is that of the networks themselves.
NETWORKS = ('teacher forward', 'ImageNet forward', 'forward', 'backward')


class StageClock:
    """Adds up the time of nested stages; a second counts for the innermost one only.

    Args:
        device: is waited for at every border of a stage, which a step without clock does not do: on a GPU the stages
            may add up to more than the step takes.

    Attributes:
        seconds: by path of a stage, such as ``('source', 'forward')``.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._path: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The block is a stage."""
        depth = len(self._path)
        self._book()
        self._path.append(name)
        try:
            yield
        finally:
            self._book()
            del self._path[depth:]

    def switch(self, name: str) -> None:
        """The innermost stage ends here, and another one takes its place."""
        self._book()
        self._path[-1] = name

    def _book(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self._path:
            self.seconds[tuple(self._path)] += now - self._since
        self._since = now


@contextmanager
def stages_of(adapter: DomainAdapter, optimizer: OptimWrapper, clock: StageClock) -> Iterator[None]:
    """Inside, the clock measures the stages of the adapter's steps, each of which is to be a stage ``step`` itself.

    A loss (``loss_decode`` of the decoders, and that on unlabelled images) is split from its network: forward and, up
    to the moment in which its gradient reaches the scores, backward. Enlarging the scores to pixels is the network's.
    """
    student = unwrap(adapter.student)
    with ExitStack() as stack:

        def timed(owner: object, method: str, name: str | Callable[..., str]) -> None:
            if owner is not None:
                stack.enter_context(_timed(owner, method, name, clock))

        timed(adapter.ema, 'update', 'EMA')
        if adapter.ema is not None:
            timed(adapter, 'pseudo_labelled_clip', 'teacher')
            timed(adapter, 'past_logits' if isinstance(adapter, VideoAdapter) else 'teacher_logits', 'teacher forward')
        timed(adapter.mixing, 'forward', 'mixing')
        timed(adapter.photometric, 'apply', 'colours and blur')
        timed(adapter.masking, 'apply', 'masking')
        timed(adapter.imagenet, 'extract_feat', 'ImageNet forward')
        timed(adapter.feature_distance, '__call__', 'losses')
        timed(adapter, 'run_pass', lambda item, *others: item.name)
        timed(student, 'forward', 'forward')
        timed(optimizer, 'backward', 'backward of losses')
        for method in ('step', 'zero_grad'):
            timed(optimizer, method, 'optimizer')
        for loss in _losses(student):
            stack.enter_context(_timed_loss(loss, 'forward', clock))
        if adapter.adaptation_loss is not None:
            stack.enter_context(_timed_loss(unwrap(adapter.adaptation_loss), 'target_losses', clock))
        yield


def _losses(student: nn.Module) -> list[nn.Module]:
    """What the decoders compare their scores with the labels by."""
    found = [getattr(module, 'loss_decode', None) for module in student.modules()]
    several = [list(loss) if isinstance(loss, nn.ModuleList) else [loss] for loss in found if loss is not None]
    return list(dict.fromkeys(loss for losses in several for loss in losses))


@contextmanager
def _timed(owner: object, method: str, name: str | Callable[..., str], clock: StageClock) -> Iterator[None]:
    """Inside, calls of a method are a stage; ``name`` may be made of the arguments."""
    if method == '__call__':
        # Python looks this one up on the class.
        original, place = type(owner).__call__, type(owner)
    else:
        original, place = getattr(owner, method), owner

    @wraps(original)
    def stage(*args: object, **kwargs: object) -> object:
        with clock.stage(name if isinstance(name, str) else name(*args, **kwargs)):
            return original(*args, **kwargs)

    setattr(place, method, stage)
    try:
        yield
    finally:
        if place is owner:
            delattr(owner, method)
        else:
            setattr(place, method, original)


@contextmanager
def _timed_loss(owner: nn.Module, method: str, clock: StageClock) -> Iterator[None]:
    original = getattr(owner, method)

    @wraps(original)
    def losses(*args: object, **kwargs: object) -> dict[str, Tensor]:
        scores = args[0]
        if scores.requires_grad:
            scores.register_hook(lambda gradient: clock.switch('backward'))
        with clock.stage('losses'):
            return original(*args, **kwargs)

    setattr(owner, method, losses)
    try:
        yield
    finally:
        delattr(owner, method)


def summarize(steps: list[dict[tuple[str, ...], float]]) -> dict:
    """Median over the steps of the seconds of each stage, by passes and by kind.

    Returns:
        dict: ``stages``, the outer stages, a pass as a whole; ``kinds``, the innermost ones over all passes, where
        ``other`` is what no stage claims; ``networks``, the share of the networks' own forward and backward.
    """

    def median(select: Callable[[tuple[str, ...]], bool]) -> float:
        sums = [sum(value for path, value in step.items() if select(path)) for step in steps]
        return statistics.median(sums)

    paths = dict.fromkeys(path for step in steps for path in step)
    outer = dict.fromkeys(path[1] for path in paths if len(path) > 1)
    kinds = dict.fromkeys(_kind(path) for path in paths)
    shares = [sum(value for path, value in step.items() if path[-1] in NETWORKS) / sum(step.values()) for step in steps]
    return {
        'stages': {name: median(lambda path, name=name: path[1:2] == (name,)) for name in outer},
        'kinds': {name: median(lambda path, name=name: _kind(path) == name) for name in kinds},
        'networks': statistics.median(shares),
    }


def _kind(path: tuple[str, ...]) -> str:
    # What a pass does between its stages (normalising, sorting losses) belongs to no kind.
    named = (*NETWORKS, 'EMA', 'mixing', 'colours and blur', 'masking', 'losses', 'backward of losses', 'optimizer')
    if path[-1] in named:
        return path[-1]
    return 'pseudo-labels' if path[-1] == 'teacher' else 'other'
