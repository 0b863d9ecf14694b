"""The segmentation loss with a weight per pixel, for any mmseg decode head.

Shapes: N batch, C classes, H, W pixels of the label.
"""

from functools import cache

from mmseg.models.decode_heads import DAHead
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, cat, nn


def stack_pixel_weights(data_samples: list) -> Tensor | None:
    """Pixel weights of a batch, (N, H, W) float, or None where no sample has ``gt_pixel_weight`` (1, H, W);
    AttributeError if only some have it."""
    if not any('gt_pixel_weight' in sample for sample in data_samples):
        return None
    return cat([sample.gt_pixel_weight.data for sample in data_samples])


class PixelWeightMixin(BaseDecodeHead):
    """Makes a decode head weigh its loss with ``gt_pixel_weight`` of the data samples.

    Put it before the head among the bases: ``class MyHead(PixelWeightMixin, SegformerHead)``; heads of mmseg get it
    from `weigh_heads`. The loss is sum(weight * cross-entropy) / number of ALL pixels, ignored ones included: the
    average of DAFormer and the code bases built on it, which is mmseg's ``CrossEntropyLoss(avg_non_ignore=False)``. A
    pixel sampler of the head (``OHEMPixelSampler``) chooses among the pixels whose weight is not 0, which keep their
    weight.
    """

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Losses of the head's logits (N, C, h, w) against the labels (and weights) of the samples."""
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        return self.pixel_loss(seg_logits, labels, stack_pixel_weights(batch_data_samples))

    def pixel_loss(self, seg_logits: Tensor, labels: Tensor, weights: Tensor | None) -> dict[str, Tensor]:
        """Losses of logits (N, C, h, w), enlarged to the labels (N, H, W), with weights (N, H, W) or without."""
        # Some networks give channels innermost, over which a softmax is slower; here the logits are still small.
        seg_logits = seg_logits.contiguous()
        seg_logits = resize(seg_logits, size=labels.shape[1:], mode='bilinear', align_corners=self.align_corners)
        weights = self._sampled(seg_logits, labels, weights)
        losses: dict[str, Tensor] = {}
        for module in self.loss_modules:
            value = module(seg_logits, labels, weight=weights, ignore_index=self.ignore_index)
            losses[module.loss_name] = losses.get(module.loss_name, 0) + value
        return losses

    @property
    def loss_modules(self) -> list:
        """The terms of the loss."""
        return list(self.loss_decode) if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]

    def _sampled(self, seg_logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor | None:
        """The weights, set to 0 for pixels that the sampler leaves out."""
        if self.sampler is None:
            return weights
        if weights is None:
            return self.sampler.sample(seg_logits, labels[:, None])
        counted = labels.masked_fill(weights == 0, self.ignore_index)
        return weights * self.sampler.sample(seg_logits, counted[:, None])


# Classes whose loss is that of BaseDecodeHead: they hand logits and data samples on to it.
_PASS_ON = (BaseDecodeHead, BaseCascadeDecodeHead, DAHead)


@cache
def weighted_class(head: type) -> type:
    """A class of mmseg's heads with the loss of `PixelWeightMixin` in place of that of ``BaseDecodeHead``."""
    # Last among the bases, and itself a BaseDecodeHead: Python then puts it right before BaseDecodeHead, behind every
    # class that calls its parent's loss.
    return type(head.__name__, (head, PixelWeightMixin), {'__module__': head.__module__})


def weigh_heads(network: nn.Module) -> None:
    """Give the pixel-weighted loss to all heads of a network, in place; heads with a loss of their own keep it."""
    for module in network.modules():
        if isinstance(module, BaseDecodeHead) and not isinstance(module, PixelWeightMixin):
            head: type = type(module)
            methods = ('loss', 'loss_by_feat', '_stack_batch_gt')
            owners = {next(base for base in head.__mro__ if method in vars(base)) for method in methods}
            if owners <= set(_PASS_ON):
                module.__class__ = weighted_class(head)
