"""The segmentor of image networks: batched sliding-window inference, and features beside the losses.

Shapes: N images, C classes, H, W pixels, h, w cells of the decoder's logits.
"""

from typing import NamedTuple

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from udass.models.windows import average_windows, uses_batch_statistics, window_boxes


class Outputs(NamedTuple):
    """Results of one forward pass in training.

    Attributes:
        losses: by name.
        features: of the backbone, finest first.
        logits: (N, C, h, w) of any size; None from a segmentor that does not return them.
        extra_logits: those of the extra clip that a flow-guided network was given.
    """

    losses: dict[str, Tensor]
    features: list[Tensor]
    logits: Tensor | None
    extra_logits: Tensor | None = None


@MODELS.register_module()
class SlidingEncoderDecoder(EncoderDecoder):
    """mmseg's EncoderDecoder, whose sliding windows go through the network in batches.

    ``test_cfg`` is ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=(h, w), stride=(h, w), max_batch=4)``.
    ``max_batch`` bounds the memory: at most so many windows are computed at once, None (or no entry) takes all of
    them. The result is that of one window at a time. Images may have any size; one smaller than the crop is one window.
    """

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor', **options: object
    ) -> dict | list | Tensor | Outputs:
        """Call the method of a mode (the form that a DDP wrapper can see): mmseg's ``loss``, ``predict`` and ``tensor``
        (`_forward`), ``outputs``, and ``features`` (`extract_feat`). In training, a decoder sees the features of that
        mode, too, without gradient. Options are arguments of the method."""
        if mode == 'features':
            features = self.extract_feat(inputs)
            if self.training:
                # Running statistics of the decoder follow these images, too, as in the code of VFM-UDA++.
                with torch.no_grad():
                    self.decode_head(features)
            return features
        methods = {'loss': self.loss, 'predict': self.predict, 'tensor': self._forward, 'outputs': self.outputs}
        if mode not in methods:
            raise RuntimeError(f'mode is one of features, {", ".join(methods)}; got {mode!r}')
        return methods[mode](inputs, data_samples, **options)

    def extract_feat(self, inputs: Tensor, token_mask: Tensor | None = None) -> list[Tensor]:
        """Features of images (N, 3, H, W); of a ViT with its mask token in place of tokens (N, h, w) bool."""
        if token_mask is None:
            return super().extract_feat(inputs)
        features = self.backbone(inputs, token_mask)
        return self.neck(features) if self.with_neck else features

    def outputs(self, inputs: Tensor, data_samples: list, *, token_mask: Tensor | None = None) -> Outputs:
        """Losses of normalised images (N, 3, H, W), and the features and logits of the same forward; the samples have
        labels, and pixel weights or not; ``token_mask`` as of `extract_feat`. ValueError if the head computes its
        losses in a way of its own."""
        if type(self.decode_head).loss is not BaseDecodeHead.loss:
            raise ValueError(
                f'{type(self.decode_head).__name__} computes its losses in a way of its own, without logits: leave '
                'feature_distance, adaptation_loss and TokenMasking out, or use another head'
            )
        features = self.extract_feat(inputs, token_mask)
        logits = self.decode_head(features)
        losses = add_prefix(self.decode_head.loss_by_feat(logits, data_samples), 'decode')
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(features, data_samples))
        return Outputs(losses, features, logits)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, C, H, W) of normalised images (N, 3, H, W), of the images' own size whatever the metas say."""
        size = inputs.shape[2:]  # a torch.Size: mmseg's heads then trust it
        return self.decode_head.predict(self.extract_feat(inputs), [dict(img_shape=size)] * len(inputs), self.test_cfg)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, C, H, W), averaged over the windows of ``test_cfg``; ValueError if it has no size or stride."""
        crop, stride = self.test_cfg.get('crop_size'), self.test_cfg.get('stride')
        if crop is None or stride is None:
            raise ValueError(
                "test_cfg of mode 'slide' needs crop_size=(h, w) and stride=(h, w) in pixels; "
                f'got {dict(self.test_cfg)}'
            )
        boxes = window_boxes(inputs.shape[2:], crop, stride)
        return average_windows(
            inputs, boxes, lambda windows: self.encode_decode(windows, batch_img_metas), max_batch=self.max_batch
        )

    def postprocess_result(self, seg_logits: Tensor, data_samples: list | None = None) -> list:
        """mmseg's data samples with ``seg_logits`` and ``pred_sem_seg``. Logits that have the size of their images
        already are not resized (a pass over 19 maps without effect)."""
        size = tuple(seg_logits.shape[2:])
        if data_samples is None or seg_logits.shape[1] == 1 or not all(_has_size(s, size) for s in data_samples):
            return super().postprocess_result(seg_logits, data_samples)
        for sample, logits in zip(data_samples, seg_logits, strict=True):
            sample.seg_logits = PixelData(data=logits)
            sample.pred_sem_seg = PixelData(data=logits.argmax(dim=0, keepdim=True))
        return data_samples

    @property
    def max_batch(self) -> int | None:
        """How many windows may go through the network at once; all of them while batch norm looks at the batch."""
        if self.test_cfg is None or uses_batch_statistics(self):
            return None
        return self.test_cfg.get('max_batch')


def _has_size(sample: SegDataSample, size: tuple[int, ...]) -> bool:
    """Whether logits of this size are those of the sample's image: neither padded, flipped nor resized."""
    padding = sample.get('img_padding_size', sample.get('padding_size', ()))
    return tuple(sample.ori_shape) == size and not sample.get('flip') and not any(padding)
