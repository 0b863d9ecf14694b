"""What mixing and the teacher's update cost, beside the same results the slow way."""

import copy

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.benchmark.baselines import Blend, blend, ema_per_parameter, quadmix_per_image, select
from udass.benchmark.batches import random_clip
from udass.benchmark.step import leave_start_weights_out
from udass.benchmark.timing import ratio, time_in_turns
from udass.uda.ema import EMA
from udass.uda.mixing.classes import class_mask
from udass.uda.mixing.quadmix import QuadMixed, confident_class_mask, quadmix

_CLASSES = 19
_PASTED = 2
_THRESHOLD = 0.5


class MixingCase:
    """One mixing of made-up images, with given classes.

    Args:
        batch: N.
        size: (H, W).
        device: of all tensors.
    """

    def __init__(self, batch: int, size: tuple[int, int], device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.clips = [
            random_clip(batch, size, _CLASSES, generator, confidence).map(lambda value: value.to(device))
            for confidence in (False, True, False, True)
        ]
        drawn = torch.rand(batch, _CLASSES, generator=generator).argsort(dim=1)[:, : 2 * _PASTED].to(device)
        # Source and target paste different classes.
        self.classes = [list(drawn[:, :_PASTED]), list(drawn[:, _PASTED:])]
        self.chosen = [
            torch.zeros(batch, _CLASSES, dtype=torch.bool, device=device).scatter_(1, part, True)
            for part in drawn.split(_PASTED, dim=1)
        ]

    def fast(self) -> QuadMixed:
        """As the training step does it."""
        source, target, old_source, old_target = self.clips
        source_mask = class_mask(old_source.labels, self.chosen[0])
        target_mask = confident_class_mask(old_target, self.chosen[1], _THRESHOLD)
        return quadmix(source, target, old_source, old_target, source_mask, target_mask)

    def slow(self, paste: Blend) -> list[list[Tensor]]:
        """Image by image, see `quadmix_per_image`."""
        return quadmix_per_image(*self.clips, *self.classes, _THRESHOLD, paste)


def benchmark_mixing(batch: int, size: tuple[int, int], repeats: int, warmup: int, device: torch.device) -> dict:
    """QuadMix without the network: how many times longer the slow ways take."""
    case = MixingCase(batch, size, device)
    timings = time_in_turns(
        {
            'udass': case.fast,
            'multiply-add per image and class': lambda: case.slow(blend),
            'torch.where per image': lambda: case.slow(select),
        },
        repeats,
        warmup,
        device,
    )
    return {'batch': batch, 'size': list(size), **_compared(timings)}


def benchmark_ema(network: nn.Module, repeats: int, warmup: int, device: torch.device) -> dict:
    """The teacher's update of a network, without gradients, beside one parameter after the other."""
    student = network.to(device)
    teachers = [_copy_of(student, device) for _ in range(2)]
    ema = EMA(alpha=0.999)
    ema.keep_teacher()
    timings = time_in_turns(
        {
            'udass': lambda: ema.update(teachers[0], student),
            'a * t + (1 - a) * s per parameter': lambda: ema_per_parameter(teachers[1], student, 0.999),
        },
        repeats,
        warmup,
        device,
    )
    return {'parameters': sum(value.numel() for value in student.parameters()), **_compared(timings)}


def build_network(config: Config) -> nn.Module:
    """The student of a config with random weights."""
    # A ConfigDict: mmseg asks for `test_cfg.mode`.
    settings = copy.deepcopy(config.model.student)
    leave_start_weights_out(settings['backbone'])
    return MODELS.build(settings)


def _copy_of(network: nn.Module, device: torch.device) -> nn.Module:
    """Its parameters with other values."""
    copies = [nn.Parameter(torch.randn_like(value), requires_grad=False) for value in network.parameters()]
    return nn.ParameterList(copies).to(device)


def _compared(timings: dict) -> dict:
    fast = timings['udass']
    return {
        'times': {name: timing.to_dict() for name, timing in timings.items()},
        'ratios': {name: ratio(timing, fast) for name, timing in timings.items() if name != 'udass'},
    }
