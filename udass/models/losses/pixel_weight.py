"""The segmentation loss with a weight per pixel, for any mmseg decode head.

Shapes: N batch, C classes, H, W pixels of the label.
"""
import torch
from mmseg.models.utils import resize
from torch import Tensor, nn


def stack_pixel_weights(data_samples: list) -> Tensor | None:
    """Pixel weights of a batch, (N, H, W) float, or None where no sample has any.

    Args:
        data_samples (list[SegDataSample]): samples, of which all or none carry ``gt_pixel_weight`` (1, H, W).

    Raises:
        ValueError: some samples of the batch have weights and others do not.
    """
    present = ['gt_pixel_weight' in sample for sample in data_samples]
    if not any(present):
        return None
    if not all(present):
        raise ValueError(f'{sum(present)} of {len(present)} data samples carry gt_pixel_weight; give it to all or none')
    return torch.cat([sample.gt_pixel_weight.data for sample in data_samples])


class PixelWeightMixin:
    """Makes a decode head weigh its loss with ``gt_pixel_weight`` of the data samples.

    Put it before the head among the bases: ``class MyHead(PixelWeightMixin, SegformerHead)``. The loss is
    sum(weight * cross-entropy) / number of ALL pixels, ignored ones included: the average of DAFormer and the code
    bases built on it, which is mmseg's ``CrossEntropyLoss(avg_non_ignore=False)``.
    """

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Losses of the head's raw scores (N, C, h, w) against the labels (and weights) of the samples."""
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        return self.pixel_loss(seg_logits, labels, stack_pixel_weights(batch_data_samples))

    def pixel_loss(self, seg_logits: Tensor, labels: Tensor, weights: Tensor | None) -> dict[str, Tensor]:
        """Losses of scores (N, C, h, w), enlarged to the labels (N, H, W), with weights (N, H, W) or without."""
        # Some networks give channels innermost, over which a softmax is slower; here the scores are still small.
        seg_logits = seg_logits.contiguous()
        seg_logits = resize(seg_logits, size=labels.shape[1:], mode='bilinear', align_corners=self.align_corners)
        losses = {}
        modules = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        for module in modules:
            value = module(seg_logits, labels, weight=weights, ignore_index=self.ignore_index)
            losses[module.loss_name] = losses.get(module.loss_name, 0) + value
        return losses
