"""The segmentor of video networks: logits of a frame, fused with those of the frame before it.

Shapes: N clips, T frames (0 is the frame t to segment, 1 the frame t-1), C classes, H, W pixels, h, w cells of the
decoder's logits. A flow (N, T-1, 2, H, W) holds (dx, dy) in pixels, from frame 0 to each other one, of which that to
frame 1 is used. A no-flow mask (N, 1, H, W) bool marks pixels of frame t for which frame t-1 says nothing.
Source: UDASS (TPAMI 2025, arXiv 2311.13254), "flow-guided" networks, which it shares with TPS and DA-VSN.
"""

from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn

from udass.models.segmentors.logit_fusion import LogitFusion, resize_logits
from udass.models.segmentors.sliding import Outputs, SlidingEncoderDecoder


@MODELS.register_module()
class FlowGuidedEncoderDecoder(SlidingEncoderDecoder):
    """Any of the single-scale decoders on two frames, their logits joined by a `LogitFusion`.

    The previous frame goes through the same network without gradient; its logits are warped to the current frame. A
    clip without flow, or an image, is segmented as by `SlidingEncoderDecoder`: its logits are those of the one frame,
    and the fusion is not used (under DDP, training on such passes alone needs ``find_unused_parameters``).

    Backbone and decoder run on frame t first, then on t-1: hooks on their layers rely on that order. Logits are
    enlarged with aligned corners, as flow is; what a decoder does inside is its own choice.

    Args:
        auxiliary_head: config of a second decoder, or several, in training; their logits pass the same fusion.
        test_cfg: as in `SlidingEncoderDecoder`. In mode ``slide`` each frame is segmented in windows and the fusion is
            done on the whole frame, so that motion may cross windows.
    """

    def _init_decode_head(self, decode_head: dict) -> None:
        super()._init_decode_head(decode_head)
        self.align_corners = True

    def _init_auxiliary_head(self, auxiliary_head: dict | list[dict] | None) -> None:
        super()._init_auxiliary_head(auxiliary_head)
        # The last of the modules: stored states of optimizers depend on the order.
        self.fusion = LogitFusion(self.out_channels)

    def loss(self, inputs: Tensor, data_samples: list, **options: Any) -> dict[str, Tensor]:
        """The losses of `outputs`, whose options it takes."""
        return self.outputs(inputs, data_samples, **options).losses

    def outputs(
        self,
        inputs: Tensor,
        data_samples: list,
        *,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        extra_clip: tuple[Tensor, Tensor] | None = None,
        token_mask: Tensor | None = None,
    ) -> Outputs:
        """Losses, the features of frame 0, and the fused logits: (N, C, h, w), with ``no_flow`` (N, C, H, W).

        Auxiliary heads learn from ``auxiliary_sem_seg`` of the samples where they have it, (D, h, w), one map for each.

        Args:
            inputs: normalised clips (N, T, 3, H, W), or images (N, 3, H, W).
            data_samples: of frame 0; labels and pixel weights are (1, H, W).
            flow: None segments frame 0 by itself.
            no_flow: the no-flow mask; None has none.
            auxiliary: whether losses include those of auxiliary heads (mixed passes of QuadMix leave them out).
            extra_clip: inputs and flow of another clip, whose logits are returned, too, without a loss.
            token_mask: (N, h, w) bool, tokens of a ViT that its mask token replaces in both frames.

        Raises:
            ValueError: there is a flow, but no frame that it leads to; or it is not of the frames' size.
        """
        logits, features = self.clip_logits(inputs, flow, no_flow, auxiliary, token_mask)
        extra_logits = None if extra_clip is None else self.clip_logits(*extra_clip)[0]['decode']
        size = data_samples[0].gt_sem_seg.shape[-2:]
        losses = {}
        for number, (name, head) in enumerate(self._heads(auxiliary).items()):
            samples = data_samples if number == 0 else auxiliary_samples(data_samples, number - 1)
            losses.update(add_prefix(head.loss_by_feat(resize_logits(logits[name], size), samples), name))
        return Outputs(losses, features, logits['decode'], extra_logits)

    def predict(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
    ) -> list:
        """Data samples with ``seg_logits`` and ``pred_sem_seg`` of frame 0, at the samples' original size."""
        return self.postprocess_result(self.inference(inputs, [], flow, no_flow), data_samples)

    def inference(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Logits (N, C, H, W) of frame 0, whole or in windows as ``test_cfg`` says."""
        slide = self.test_cfg.get('mode', 'whole') == 'slide'
        return (self.slide_inference if slide else self.encode_decode)(inputs, batch_img_metas, flow, no_flow)

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Logits (N, C, H, W) of frame 0, fused with frame 1 where there is a flow."""
        return resize_logits(self._forward(inputs, None, flow, no_flow), inputs.shape[-2:])

    def slide_inference(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Logits (N, C, H, W) of frame 0, each frame averaged over the windows of ``test_cfg`` before the fusion."""
        current, previous, flow = two_frames(inputs, flow)
        logits = super().slide_inference(current, batch_img_metas)
        if previous is None:
            return logits
        with torch.no_grad():
            past = super().slide_inference(previous, batch_img_metas)
        return self.fusion(logits, past, flow, no_flow)

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
    ) -> Tensor:
        return self.clip_logits(inputs, flow, no_flow)[0]['decode']

    def _heads(self, auxiliary: bool) -> dict[str, BaseDecodeHead]:
        """The decoders by the prefix of their losses."""
        heads = {'decode': self.decode_head}
        if auxiliary and self.with_auxiliary_head:
            more = self.auxiliary_head
            several = isinstance(more, nn.ModuleList)
            heads |= {f'aux_{i}': head for i, head in enumerate(more)} if several else {'aux': more}
        return heads

    def clip_logits(
        self,
        inputs: Tensor,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = False,
        token_mask: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Fused logits (N, C, h, w) by decoder, ``decode`` and the auxiliary heads if wanted, and the features of
        frame 0; arguments as in `outputs`."""
        current, previous, flow = two_frames(inputs, flow)
        # The current frame comes first: autocast would keep weights that it converts without gradient.
        logits, features = self.frame_logits(current, auxiliary, token_mask)
        if previous is None:
            return logits, features
        with torch.no_grad():
            past, _ = self.frame_logits(previous, auxiliary, token_mask)
        return {name: self.fusion(logits[name], past[name], flow, no_flow) for name in logits}, features

    def frame_logits(
        self, images: Tensor, auxiliary: bool, token_mask: Tensor | None = None
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Logits by decoder and features of single frames (N, 3, H, W)."""
        features = self.extract_feat(images, token_mask)
        return {name: head(features) for name, head in self._heads(auxiliary).items()}, features


def auxiliary_samples(data_samples: list, number: int) -> list:
    """The samples for the auxiliary head of this number: with labels of its own where they have them."""
    if 'auxiliary_sem_seg' not in data_samples[0]:
        return data_samples
    samples = []
    for sample in data_samples:
        labels = sample.auxiliary_sem_seg.data[number : number + 1]
        samples.append(sample.new())
        samples[-1].gt_sem_seg = PixelData(data=labels)
    return samples


def two_frames(inputs: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Frames t and t-1 (N, 3, H, W) of clips (N, T, 3, H, W) or images, and the flow between them (N, 2, H, W); None
    for frame t-1 and its flow where there is no flow (N, T-1, 2, H, W). ValueError if a flow does not fit the clips."""
    frames = inputs[:, None] if inputs.dim() == 4 else inputs
    if flow is None:
        return frames[:, 0], None, None
    count = frames.shape[1]
    if count < 2:
        raise ValueError(
            f'the flow leads to frame 1, but the inputs {tuple(inputs.shape)} have {count} frame(s): give clips '
            '(N, 2, 3, H, W), or no flow'
        )
    expected = (len(inputs), count - 1, 2, *inputs.shape[-2:])
    if flow.shape != expected:
        raise ValueError(
            f'clips {tuple(inputs.shape)} need the flow from frame 0 to each other frame, {expected}; got '
            f'{tuple(flow.shape)}'
        )
    return frames[:, 0], frames[:, 1], flow[:, 0]
