"""A loss that keeps the student's features of thing classes near those of ImageNet weights.

Shapes: N batch, H, W pixels of the labels, h, w size of the features, D their channels.
Source: DAFormer (Hoyer et al. 2022, arXiv 2111.14887), section 3.3, "thing-class ImageNet feature distance".
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.precision import at_least_float32
from udass.models.ranks import mean_over_ranks


def class_cells(labels: Tensor, classes: Sequence[int], size: Sequence[int], min_ratio: float) -> Tensor:
    """Which features lie on one of the classes, (N, h, w) bool: it fills at least ``min_ratio`` of their pixels.

    Args:
        labels: (N, H, W) int64 train ids.
        size: (h, w) of the features.
        min_ratio: in (0.5, 1], so that at most one class counts.
    """
    is_class = torch.stack([labels == train_id for train_id in classes], dim=1)
    return (F.adaptive_avg_pool2d(is_class.float(), (size[0], size[1])) >= min_ratio).any(dim=1)


def feature_distance(features: Tensor, imagenet: Tensor, cells: Tensor, over_ranks: bool = True) -> Tensor:
    """Mean Euclidean distance of features (N, D, h, w) over the channels where ``cells`` (N, h, w) is True; 0 if it
    nowhere is. With ``over_ranks`` the mean is that of all processes, see `mean_over_ranks`."""
    distance = torch.linalg.vector_norm(at_least_float32(features) - at_least_float32(imagenet), dim=1)
    total, number = (distance * cells).sum(), cells.sum()
    return mean_over_ranks(total, number) if over_ranks else total / number.clamp(min=1)


@MODELS.register_module()
class FeatureDistance:
    """The weighted feature distance; its thing classes come from the source data set, by name.

    Args:
        weight: factor in the loss (lambda in the paper).
        min_ratio: share of a feature's pixels that one thing class must fill, in (0.5, 1].
        over_ranks: see `feature_distance`.
    """

    def __init__(self, weight: float = 0.005, min_ratio: float = 0.75, over_ranks: bool = True) -> None:
        if weight < 0:
            raise ValueError(f'weight is a factor of the loss, 0 or more; got {weight}')
        if not 0.5 < min_ratio <= 1:
            raise ValueError(f'min_ratio is a share of pixels in (0.5, 1]; got {min_ratio}')
        self.weight, self.min_ratio, self.over_ranks = weight, min_ratio, over_ranks
        self.classes: list[int] | None = None

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Look up the ids of ``thing_classes``; ValueError if the source data set names none."""
        names = list(metainfo.get('thing_classes') or ())
        if not names:
            raise ValueError(
                'FeatureDistance compares features of things, but the metainfo of the source data set has no '
                'thing_classes: add them by name (train_dataloader.source.dataset.metainfo), or leave '
                'model.feature_distance out'
            )
        self.classes = [list(metainfo['classes']).index(name) for name in names]

    def __call__(self, features: Tensor, imagenet: Tensor, labels: Tensor) -> Tensor:
        """The loss of last-stage features (N, D, h, w) and ImageNet features of the same images; labels (N, H, W)."""
        if self.classes is None:
            raise ValueError('FeatureDistance has no thing classes yet: call use_metainfo (the training loop does)')
        cells = class_cells(labels, self.classes, features.shape[-2:], self.min_ratio)
        return self.weight * feature_distance(features, imagenet, cells, self.over_ranks)
