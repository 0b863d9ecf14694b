"""Quality of optical flow: agreement of the labels and images of frame t-1, warped by it, with those of frame t.

Shapes: C classes, H x W pixels. A flow holds (dx, dy) in pixels, from frame t to frame t-1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from udass.evaluation.iou import confusion_matrix, iou_table
from udass.flow import warp, warp_labels
from udass.io.labels import IGNORE_INDEX

# Label of pixels whose flow leads out of frame t-1; no class, and not the 255 of a pixel without label.
_OUTSIDE = 254
# A larger error, in pixels, is an outlier (as KITTI counts them, but for their relative part).
_OUTLIER = 3


class WarpAgreement:
    """Agreement of warped frames t-1 with frames t, summed over pairs of frames, by region, of ``classes``, C names. A
    pixel counts where both the truth at t and the label that the flow leads to exist; one whose flow leads out of frame
    t-1 is wrong."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._confusion: dict[str, Tensor] = {}
        # Sum of absolute differences of grey levels, pixels of the region, all pixels.
        self._sums: dict[str, np.ndarray] = {}

    def add(self, frames: Tensor, labels: Tensor, flow: Tensor, regions: Mapping[str, Tensor]) -> None:
        """Count one pair of frames (2, 3, H, W) uint8, t and t-1, with labels (2, H, W), 255 = none, and flow (2, H,
        W), in each region of t, name -> (H, W) bool."""
        outside = len(self.classes)
        warped = warp_labels(labels[1:], flow[None], ignore=_OUTSIDE)[0]
        warped = warped.where(warped != _OUTSIDE, outside)
        difference = (warp(frames[1:].float(), flow[None])[0] - frames[0]).abs().mean(0)
        for name, region in regions.items():
            confusion = confusion_matrix(warped, labels[0].where(region, IGNORE_INDEX), outside + 1)
            sums = np.array([float(difference[region].sum()), int(region.sum()), region.numel()])
            self._confusion[name] = self._confusion.get(name, 0) + confusion
            self._sums[name] = self._sums.get(name, 0) + sums

    def scores(self) -> dict[str, dict[str, float]]:
        """By region: ``pixels``, the share of equal labels, and their ``mIoU``, in percent; ``grey``, the mean
        difference of the images in grey levels of 255; ``share`` of all pixels that are in the region, in percent."""
        result = {}
        for name, confusion in self._confusion.items():
            table = iou_table(confusion, (*self.classes, 'outside'))
            difference, inside, everything = self._sums[name]
            result[name] = {
                'pixels': round(100 * table.pixel_accuracy, 3),
                'mIoU': round(100 * table.mean_iou, 3),
                'grey': round(difference / inside, 3),
                'share': round(100 * inside / everything, 3),
            }
        return result


class EndPointError:
    """Distance between an estimated and the exact flow, over the pixels of t that are visible at t-1."""

    def __init__(self) -> None:
        self._errors: list[Tensor] = []
        self._motions: list[Tensor] = []

    def add(self, flow: Tensor, exact: Tensor, visible: Tensor) -> None:
        """Measure one pair of frames: flows (2, H, W), visible (H, W) bool."""
        self._errors.append((flow - exact).norm(dim=0)[visible])
        self._motions.append(exact.norm(dim=0)[visible])

    def scores(self) -> dict[str, float]:
        """In pixels: ``mean`` and ``median`` error, and the mean exact ``motion``; ``outliers``: percent of errors
        above 3 pixels."""
        errors, motions = torch.cat(self._errors).numpy(), torch.cat(self._motions).numpy()
        return {
            'mean': round(float(errors.mean()), 3),
            'median': round(float(np.median(errors)), 3),
            'motion': round(float(motions.mean()), 3),
            'outliers': round(100 * float((errors > _OUTLIER).mean()), 3),
        }
