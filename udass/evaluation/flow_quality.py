"""How good an optical flow is: do the labels and the pictures of frame t-1, warped by it, equal those of frame t?

Shapes: C classes, H x W pixels. A flow holds (dx, dy) in pixels, from frame t to frame t-1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from udass.evaluation.iou import iou_table
from udass.flow import warp, warp_labels

_IGNORE = 255
# What is outside of frame t-1; no class, and not the 255 of a pixel without label.
_OUTSIDE = 254
# An error that is larger, in pixels, is an outlier (as KITTI counts them, but for their relative part).
_OUTLIER = 3


class WarpAgreement:
    """Agreement of warped frames t-1 with frames t, summed over pairs of frames, by region.

    A pixel counts where both the truth at t and the label that the flow leads to exist. Where the flow leads out of
    frame t-1 there is nothing: such a pixel counts as wrong.

    Args:
        classes: C names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._counts: dict[str, Tensor] = {}
        # Sum of grey levels that differ, pixels of the region, pixels of all.
        self._sums: dict[str, np.ndarray] = {}

    def add(self, frames: Tensor, labels: Tensor, flow: Tensor, regions: Mapping[str, Tensor]) -> None:
        """Count one pair of frames.

        Args:
            frames: (2, 3, H, W) uint8, t and t-1.
            labels: (2, H, W) class ids of t and t-1, 255 = none.
            flow: (2, H, W).
            regions: name -> (H, W) bool, pixels of t.
        """
        warped = warp_labels(labels[1:], flow[None], ignore=_OUTSIDE)[0]
        difference = (warp(frames[1:].float(), flow[None])[0] - frames[0]).abs().mean(0)
        for name, region in regions.items():
            counts = agreement_counts(warped, labels[0], region, len(self.classes))
            sums = np.array([float(difference[region].sum()), int(region.sum()), region.numel()])
            self._counts[name] = self._counts.get(name, 0) + counts
            self._sums[name] = self._sums.get(name, 0) + sums

    def scores(self) -> dict[str, dict[str, float]]:
        """By region: ``pixels``, the share of equal labels, and their ``mIoU``, in percent; ``grey``, the mean
        difference of the pictures in grey levels of 255; ``share`` of all pixels that are in the region, in percent."""
        result = {}
        for name, counts in self._counts.items():
            table = iou_table(*counts, self.classes)
            difference, inside, everything = self._sums[name]
            result[name] = {
                'pixels': round(100 * table.pixel_accuracy, 3),
                'mIoU': round(100 * table.mean_iou, 3),
                'grey': round(difference / inside, 3),
                'share': round(100 * inside / everything, 3),
            }
        return result


class EndPointError:
    """Distance between an estimated and the exact flow, over the pixels of t that are seen at t-1."""

    def __init__(self) -> None:
        self._errors: list[np.ndarray] = []
        self._motions: list[np.ndarray] = []

    def add(self, flow: Tensor, exact: Tensor, visible: Tensor) -> None:
        """Measure one pair of frames: flows (2, H, W), visible (H, W) bool."""
        self._errors.append((flow - exact).norm(dim=0)[visible].numpy())
        self._motions.append(exact.norm(dim=0)[visible].numpy())

    def scores(self) -> dict[str, float]:
        """In pixels: ``mean`` and ``median`` error, and the mean exact ``motion``; ``outliers``: percent of errors
        above 3 pixels."""
        errors, motions = np.concatenate(self._errors), np.concatenate(self._motions)
        return {
            'mean': round(float(errors.mean()), 3),
            'median': round(float(np.median(errors)), 3),
            'motion': round(float(motions.mean()), 3),
            'outliers': round(100 * float((errors > _OUTLIER).mean()), 3),
        }


def agreement_counts(warped: Tensor, truth: Tensor, region: Tensor, classes: int) -> Tensor:
    """Pixels per class of warped labels (254 = nothing there) and of the truth, (H, W) each, inside a region.

    Returns:
        Tensor: (3, C) int64: of both, of the warped labels, of the truth.
    """
    region = region & (truth != _IGNORE) & (warped != _IGNORE)
    warped, truth = warped[region].long(), truth[region].long()
    parts = truth[warped == truth], warped[warped != _OUTSIDE], truth
    return torch.stack([torch.bincount(part, minlength=classes) for part in parts])
