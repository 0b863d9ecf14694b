"""Fusion of the logits of two frames along the optical flow between them.

Shapes: N batch, C classes, h, w cells of the logits, H, W pixels of the frames. A flow holds (dx, dy) in pixels, from
the current frame to the previous one.
Source: UDASS (TPAMI 2025, arXiv 2311.13254); the design is that of Accel (Jain et al. 2019, arXiv 1807.06667).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from udass.flow.warping import resize_flow, warp


class LogitFusion(nn.Conv2d):
    """A 1x1 convolution without bias over current and warped previous logits; it starts as the current logits alone."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(2 * num_classes, num_classes, kernel_size=1, bias=False)

    def reset_parameters(self) -> None:
        """Identity on the first C inputs, zero on the others."""
        nn.init.dirac_(self.weight)

    def forward(  # type: ignore[override]
        self,
        current: Tensor,
        previous: Tensor,
        flow: Tensor,
        no_flow: Tensor | None = None,
        ratio: tuple[float, float] | None = None,
    ) -> Tensor:
        """The fused logits: (N, C, h, w), with ``no_flow`` (N, C, H, W).

        Args:
            current, previous: logits (N, C, h, w) of the two frames.
            flow: (N, 2, H, W).
            no_flow: no-flow mask (N, 1, H, W) bool of pixels whose content has no motion (ValueError if it is none):
                there the current logits take the place of the warped ones. An object's edge is finer than a cell, so
                with a mask the fusion is done at pixel size.
            ratio: factors of dx and dy when the flow is resized to the logits; None takes the ratios of the widths and
                of the heights (the reference's code takes that of the heights for both).
        """
        if no_flow is None:
            warped = warp(previous, resize_flow(flow, current.shape[2:], ratio))
            return super().forward(torch.cat([current, warped], dim=1))
        if no_flow.dtype != torch.bool or no_flow.shape != (len(flow), 1, *flow.shape[2:]):
            raise ValueError(
                f'no_flow is a bool mask (N, 1, H, W) of the pixels of the flow {tuple(flow.shape)}; got '
                f'{tuple(no_flow.shape)} {no_flow.dtype}'
            )
        current, previous = (resize_logits(logits, flow.shape[2:]) for logits in (current, previous))
        warped = torch.where(no_flow, current, warp(previous, flow))
        return super().forward(torch.cat([current, warped], dim=1))


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (N, C, h, w) at another size (H, W), corners aligned as flow fields are resized."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    # Not mmseg's resize, which warns of sizes that are no multiple plus one.
    return F.interpolate(logits, size=tuple(size), mode='bilinear', align_corners=True)
