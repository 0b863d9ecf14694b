"""Keeping the student's features of things near to those of ImageNet.

Shapes: N batch, H, W pixels of the label, h, w cells of the feature, D channels, K thing classes.
Source: DAFormer (Hoyer et al. 2022, arXiv 2111.14887), section 3.3, "thing-class ImageNet feature distance".
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.precision import at_least_float32
from udass.models.ranks import mean_over_ranks


def class_cells(labels: Tensor, classes: Sequence[int], size: tuple[int, int], min_ratio: float) -> Tensor:
    """Cells of a coarse grid that one of the classes fills to at least ``min_ratio``.

    Args:
        labels: (N, H, W) int64; 255 is a class of its own that is never asked for.
        classes: K train ids.
        size: (h, w) of the grid.
        min_ratio: in (0.5, 1], so that at most one class can fill a cell.

    Returns:
        (N, h, w) bool.
    """
    wanted = torch.stack([labels == train_id for train_id in classes], dim=1)
    return (F.adaptive_avg_pool2d(wanted.float(), size) >= min_ratio).any(dim=1)


def feature_distance(features: Tensor, anchors: Tensor, cells: Tensor, over_ranks: bool = True) -> Tensor:
    """Mean Euclidean distance over the channels of marked cells; 0 where no cell is marked.

    Args:
        features, anchors: (N, D, h, w).
        cells: (N, h, w) bool.
        over_ranks: the mean is over the cells of all processes, see `mean_over_ranks`.
    """
    distance = torch.linalg.vector_norm(at_least_float32(features) - at_least_float32(anchors), dim=1)
    total, number = (distance * cells).sum(), cells.sum()
    return mean_over_ranks(total, number) if over_ranks else total / number.clamp(min=1)


@MODELS.register_module()
class FeatureDistance:
    """The term of the source pass's loss; the thing classes come from the source data set, by name.

    Args:
        weight: factor of the term (lambda in the paper).
        min_ratio: share of a feature cell that a thing must fill to count, in (0.5, 1].
        over_ranks: see `feature_distance`.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(self, weight: float = 0.005, min_ratio: float = 0.75, over_ranks: bool = True) -> None:
        if weight < 0:
            raise ValueError(f'weight is a factor of the loss, 0 or more; got {weight}')
        if not 0.5 < min_ratio <= 1:
            raise ValueError(f'min_ratio is a share of a cell in (0.5, 1]; got {min_ratio}')
        self.weight = weight
        self.min_ratio = min_ratio
        self.over_ranks = over_ranks
        self.classes: list[int] | None = None

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Look up the ids of ``thing_classes``.

        Raises:
            ValueError: the source data set names no thing classes.
        """
        names = list(metainfo.get('thing_classes') or ())
        if not names:
            raise ValueError(
                'FeatureDistance keeps the features of things, but the metainfo of the source data set '
                'has no thing_classes: add them by name (train_dataloader.source.dataset.metainfo), or '
                'leave model.feature_distance out'
            )
        self.classes = [list(metainfo['classes']).index(name) for name in names]

    def __call__(self, features: Tensor, anchors: Tensor, labels: Tensor) -> Tensor:
        """The weighted term for last-stage features (N, D, h, w), ImageNet's of the same images, labels (N, H, W)."""
        if self.classes is None:
            raise ValueError(
                'FeatureDistance does not know the thing classes yet: call use_metainfo (the training '
                'loop does) with the metainfo of the source data set'
            )
        cells = class_cells(labels, self.classes, tuple(features.shape[-2:]), self.min_ratio)
        return self.weight * feature_distance(features, anchors, cells, self.over_ranks)
