"""Joining the scores of two frames along the motion between them.

Shapes: N batch, C classes, h, w cells of the scores, H, W pixels of the frames. A flow holds (dx, dy) in pixels, from
the current frame to the previous one.
Source: UDASS (TPAMI 2025, arXiv 2311.13254); the design is that of Accel (Jain et al. 2019, arXiv 1807.06667).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from udass.flow.warping import resize_flow, warp


class LogitFusion(nn.Conv2d):
    """A 1x1 convolution without bias over current and warped previous scores; it starts as the current scores alone.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(2 * num_classes, num_classes, kernel_size=1, bias=False)

    def reset_parameters(self) -> None:
        """Identity on the first C inputs, zero on the others."""
        nn.init.dirac_(self.weight)

    def forward(
        self,
        current: Tensor,
        previous: Tensor,
        flow: Tensor,
        no_flow: Tensor | None = None,
        ratio: tuple[float, float] | None = None,
    ) -> Tensor:
        """The fused scores.

        Args:
            current, previous: scores (N, C, h, w) of the two frames.
            flow: (N, 2, H, W).
            no_flow: (N, 1, H, W) bool, pixels whose content has no motion: there the current score stands in for the
                warped one. An object's edge is finer than a cell, so with it the fusion is done at pixel size.
            ratio: factors of dx and dy when the flow is brought to the size of the scores; None takes the ratios of
                the widths and of the heights (the reference's code takes that of the heights for both).

        Returns:
            Tensor: (N, C, h, w), with ``no_flow`` (N, C, H, W).

        Raises:
            ValueError: ``no_flow`` is no mask of the flow's pixels.
        """
        if no_flow is None:
            warped = warp(previous, resize_flow(flow, tuple(current.shape[2:]), ratio))
            return super().forward(torch.cat([current, warped], dim=1))
        if no_flow.dtype != torch.bool or no_flow.shape != (len(flow), 1, *flow.shape[2:]):
            raise ValueError(
                f'no_flow is a bool mask (N, 1, H, W) of the pixels of the flow {tuple(flow.shape)}; got '
                f'{tuple(no_flow.shape)} {no_flow.dtype}'
            )
        current, previous = (resize_logits(scores, tuple(flow.shape[2:])) for scores in (current, previous))
        warped = torch.where(no_flow, current, warp(previous, flow))
        return super().forward(torch.cat([current, warped], dim=1))


def resize_logits(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (N, C, h, w) at another size (H, W), corners aligned as flow fields are resized."""
    if tuple(scores.shape[2:]) == tuple(size):
        return scores
    # Not mmseg's resize, which warns of sizes that are no multiple plus one.
    return F.interpolate(scores, size=tuple(size), mode='bilinear', align_corners=True)
