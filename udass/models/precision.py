"""The precision in which losses and labels are computed, whatever that of the network."""

import torch
from torch import Tensor


def at_least_float32(value: Tensor) -> Tensor:
    """The tensor in float32 if it is of half precision or holds integers; float32 and float64 stay as they are."""
    return value.to(torch.promote_types(value.dtype, torch.float32))
