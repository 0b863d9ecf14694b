"""Cross-entropy averaged over the pixels that have a label."""

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.ranks import mean_over_ranks


@MODELS.register_module()
class ValidCrossEntropy(nn.Module):
    """sum(weight * cross-entropy) / number of pixels with a label; 0 if there are none.

    The average of the video methods. mmseg's ``CrossEntropyLoss(avg_non_ignore=True)`` computes the same, but reads the
    number of pixels on the host, for which the device must be waited for.

    Args:
        loss_weight: factor of the loss.
        loss_name: its name in the log; without the prefix ``loss_`` it would not be trained on.
        over_ranks: average over the pixels of all processes, not over those of each.
        weighted_over_all: average over all pixels where pixels have weights, as image methods do (VFM-UDA): the source,
            which has none, is averaged over its labelled pixels, and what pseudo-labels are in over all.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
        over_ranks: bool = True,
        weighted_over_all: bool = False,
    ) -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name
        self.over_ranks, self.weighted_over_all = over_ranks, weighted_over_all

    def forward(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """The loss of logits (N, C, H, W) against labels (N, H, W), with weights (N, H, W) or without; a scalar."""
        values = F.cross_entropy(logits, labels, reduction='none', ignore_index=ignore_index)
        if weight is not None:
            values = values * weight
            if self.weighted_over_all:
                return self.loss_weight * values.mean()
        number = (labels != ignore_index).sum()
        if self.over_ranks:
            return self.loss_weight * mean_over_ranks(values.sum(), number)
        return self.loss_weight * values.sum() / number.clamp(min=1)
