"""The teacher's weights: an exponential moving average of the student's.

Source: Tarvainen & Valpola 2017 (mean teacher); schedule as in DACS and DAFormer.
"""

import math

import torch
from mmseg.registry import MODELS
from torch import nn

from udass.models.ranks import average_over_ranks_, running_statistics


@MODELS.register_module()
class EMA(nn.Module):
    """Moves a teacher towards its student once per iteration.

    teacher = a_t * teacher + (1 - a_t) * student with a_t = min(1 - 1/(t + 1), alpha), where t counts the finished
    steps of the student's optimizer: the update before the first step is a copy. The counter is a number of the host
    (no device wait) and saved, so that a resumed teacher is not overwritten.

    Args:
        alpha: largest share of the old teacher, in [0, 1).
        copy_buffers: also copy the student's buffers (running statistics of batch norm). The reference leaves the
            teacher its own. With several processes the teacher gets the mean of their students'.
        after_step: update at the end of an iteration, after the student's step (VFM-UDA), instead of at its start. The
            teacher is a copy of the student in the first iteration, and keeps half of that in the first update.
    """

    def __init__(self, alpha: float = 0.999, copy_buffers: bool = False, after_step: bool = False) -> None:
        super().__init__()
        if not 0 <= alpha < 1:
            raise ValueError(f'alpha is the share of the old teacher, in [0, 1); got {alpha}')
        self.alpha, self.copy_buffers, self.after_step = alpha, copy_buffers, after_step
        self.steps = 0

    @torch.no_grad()
    def update(self, teacher: nn.Module, student: nn.Module) -> None:
        """One update; both modules have the same parameters in the same order (the student without DDP). Frozen ones,
        which they share, are left alone."""
        finished = self.steps + self.after_step
        decay = min(1 - 1 / (finished + 1), self.alpha)
        pairs = zip(teacher.parameters(), student.parameters(), strict=True)
        moved = [(mine, theirs) for mine, theirs in pairs if mine is not theirs]
        torch._foreach_lerp_([mine for mine, _ in moved], [theirs for _, theirs in moved], 1 - decay)
        if self.copy_buffers:
            for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
                mine.copy_(theirs)
            # The teacher must be the same on all ranks, and the students' statistics are not.
            average_over_ranks_(running_statistics(teacher))
        self.steps += 1

    def keep_teacher(self) -> None:
        """Continue from a teacher whose weights were loaded: the next update is no copy."""
        self.steps = math.ceil(self.alpha / (1 - self.alpha))

    def get_extra_state(self) -> dict:
        return {'steps': self.steps}

    def set_extra_state(self, state: dict) -> None:
        self.steps = int(state['steps'])


def evaluate_with_batch_statistics(teacher: nn.Module) -> None:
    """Evaluation mode without dropout and drop-path, but batch norm uses (and tracks) the statistics of the batch, as
    the reference's teacher does. A backbone with ``norm_eval`` keeps its batch norm in evaluation mode."""
    teacher.train()
    norms = [norm for norm in teacher.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.training]
    teacher.eval()
    for norm in norms:
        norm.train()
