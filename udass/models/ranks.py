"""Sums and means over the processes of a distributed run, and their random seeds.

DDP averages the gradients of the ranks, which is right for plain means over equally large batches. Sums, and quotients
whose denominator differs between the ranks, are computed here. Nothing waits for the device.
"""

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from torch import Tensor, nn


def seed_of_rank(seed: int, number: int, iteration: int = 0) -> int:
    """Seed of a process's own random stream; that of process 0 at the start is ``seed`` itself."""
    if number == iteration == 0:
        return seed
    # 63 bits: torch takes no more.
    return int(np.random.SeedSequence((seed, number, iteration)).generate_state(1, np.uint64)[0] >> 1)


class _Sum(torch.autograd.Function):
    """Every rank's loss depends on every rank's value: the gradients are summed on the way back, too."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return _summed(value)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over the ranks, equal on all of them; to be called by all, with one shape. Gradients flow: if
    every rank computes its loss from the sum, DDP's average is the gradient of one process that has all batches."""
    return value if get_world_size() == 1 else _Sum.apply(value)


def mean_over_ranks(total: Tensor, number: Tensor) -> Tensor:
    """``total / number`` of the batches of all ranks together, 0 where ``number`` is 0 everywhere.

    Returns:
        This rank's part, such that the *average* over the ranks is the mean: that of the values, which the log takes,
        and that of the gradients, which DDP takes.
    """
    ranks = get_world_size()
    if ranks == 1:
        return total / number.clamp(min=1)
    return total * ranks / _summed(number).clamp(min=1)


def share_over_ranks(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Share of True in the masks of all ranks together, a scalar of ``dtype`` in [0, 1], equal on all ranks; masks may
    differ in size. It has no gradient."""
    if get_world_size() == 1:
        return mask.to(dtype).mean()
    # Counts of a batch can exceed what float32 holds exactly.
    counts = torch.stack([mask.sum(), torch.full((), mask.numel(), device=mask.device)]).double()
    counts = _summed(counts)
    return (counts[0] / counts[1]).to(dtype)


def running_statistics(module: nn.Module) -> list[Tensor]:
    """Running means and variances of the normalisation layers that track them; every rank has its own."""
    norms = [norm for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._NormBase)]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]


def average_over_ranks_(tensors: list[Tensor]) -> None:
    """Replace floating-point tensors by their mean over the ranks, in place; one exchange for all of them."""
    if get_world_size() == 1 or not tensors:
        return
    mean = _summed(torch.cat([tensor.reshape(-1) for tensor in tensors])) / get_world_size()
    for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.reshape(tensor.shape))


def _summed(value: Tensor) -> Tensor:
    value = value.detach().clone()
    dist.all_reduce(value)
    return value
