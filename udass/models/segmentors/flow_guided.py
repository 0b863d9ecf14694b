"""The segmentor of video networks: scores of a frame, helped by those of the frame before it.

Shapes: N clips, T frames (0 is the frame t to segment, 1 the frame t-1), C classes, H, W pixels, h, w cells of the
decoder's scores. A flow holds (dx, dy) in pixels, from t to t-1.
Source: UDASS (TPAMI 2025, arXiv 2311.13254), "flow-guided" networks, which it shares with TPS and DA-VSN.
"""

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn

from udass.models.segmentors.logit_fusion import LogitFusion, resize_logits
from udass.models.segmentors.sliding import Outputs, SlidingEncoderDecoder


@MODELS.register_module()
class FlowGuidedEncoderDecoder(SlidingEncoderDecoder):
    """Any of the single-scale decoders on two frames, their scores joined by a `LogitFusion`.

    The previous frame goes through the same network without gradient; its scores are warped to the current frame. A
    clip without flow, or an image, is segmented as by `SlidingEncoderDecoder`: its scores are those of the one frame,
    and the fusion is not used (under DDP, training on such passes alone needs ``find_unused_parameters``).

    Backbone and decoder run on frame t first, then on t-1: so hooks on their layers meet the frames. Scores are
    enlarged with aligned corners, as flow is; what a decoder does inside is its own choice.

    Args:
        auxiliary_head: config of a second decoder, or several, in training; their scores pass the same fusion.
        test_cfg: as in `SlidingEncoderDecoder`. In mode ``slide`` each frame is segmented in windows and the fusion is
            done on the whole frame, so that motion may cross windows.
    """

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        auxiliary_head: dict | list[dict] | None = None,
        neck: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            decode_head=decode_head,
            auxiliary_head=auxiliary_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        self.align_corners = True
        self.fusion = LogitFusion(self.out_channels)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        extra_clip: tuple[Tensor, Tensor] | None = None,
    ) -> dict | list | Tensor | Outputs:
        """The modes of its parent, ``loss``, ``outputs``, ``predict`` and ``tensor``, for clips.

        Args:
            inputs: normalised clips (N, T, 3, H, W), or images (N, 3, H, W).
            data_samples: of frame 0; labels and pixel weights are (1, H, W).
            flow: (N, T-1, 2, H, W) from frame 0 to each other frame, of which that to frame 1 is used; None segments
                frame 0 by itself.
            no_flow: (N, 1, H, W) bool, pixels of frame 0 for which frame 1 says nothing; None has none.
            auxiliary: whether losses include those of auxiliary heads (mixed passes of QuadMix leave them out).
            extra_clip: inputs and flow of another clip, for mode ``outputs``: its logits are returned too, without a
                loss.

        Raises:
            ValueError: there is a flow, but no frame that it leads to; or it is not of the frames' size.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples, flow, no_flow, auxiliary)
        if mode == 'outputs':
            return self.outputs(inputs, data_samples, flow, no_flow, auxiliary, extra_clip)
        if mode == 'predict':
            return self.predict(inputs, data_samples, flow, no_flow)
        if mode == 'tensor':
            return self._forward(inputs, data_samples, flow, no_flow)
        return super().forward(inputs, data_samples, mode)

    def loss(
        self,
        inputs: Tensor,
        data_samples: list,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
    ) -> dict[str, Tensor]:
        """Losses of the fused scores against the samples' labels and pixel weights; arguments as in `forward`."""
        return self.outputs(inputs, data_samples, flow, no_flow, auxiliary).losses

    def outputs(
        self,
        inputs: Tensor,
        data_samples: list,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        extra_clip: tuple[Tensor, Tensor] | None = None,
    ) -> Outputs:
        """The losses, the features of frame 0, and the fused logits: (N, C, h, w), with ``no_flow`` (N, C, H, W).

        Auxiliary heads learn from ``auxiliary_sem_seg`` of the samples where they have it, (D, h, w), one map for each.
        """
        heads = self._heads(auxiliary)
        logits, features = self.clip_logits(inputs, flow, no_flow, auxiliary)
        extra_logits = None if extra_clip is None else self.clip_logits(*extra_clip)[0]['decode']
        size = tuple(data_samples[0].gt_sem_seg.shape[-2:])
        losses = {}
        for number, (name, head) in enumerate(heads.items()):
            samples = data_samples if number == 0 else auxiliary_samples(data_samples, number - 1)
            values = head.loss_by_feat(resize_logits(logits[name], size), samples)
            losses.update(add_prefix(values, name))
        return Outputs(losses, features, logits['decode'], extra_logits)

    def predict(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
    ) -> list:
        """Data samples with ``seg_logits`` and ``pred_sem_seg`` of frame 0, at the samples' original size."""
        metas = [] if data_samples is None else [sample.metainfo for sample in data_samples]
        return self.postprocess_result(self.inference(inputs, metas, flow, no_flow), data_samples)

    def inference(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Scores (N, C, H, W) of frame 0, whole or in windows as ``test_cfg`` says."""
        slide = self.test_cfg.get('mode', 'whole') == 'slide'
        return (self.slide_inference if slide else self.encode_decode)(inputs, batch_img_metas, flow, no_flow)

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Scores (N, C, H, W) of frame 0, fused with frame 1 where there is a flow."""
        return resize_logits(self._forward(inputs, None, flow, no_flow), tuple(inputs.shape[-2:]))

    def slide_inference(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Scores (N, C, H, W) of frame 0, each frame averaged over the windows of ``test_cfg`` before the fusion."""
        current, previous, flow = two_frames(inputs, flow)
        scores = super().slide_inference(current, batch_img_metas)
        if previous is None:
            return scores
        with torch.no_grad():
            past = super().slide_inference(previous, batch_img_metas)
        return self.fusion(scores, past, flow, no_flow)

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
    ) -> Tensor:
        return self.clip_logits(inputs, flow, no_flow)[0]['decode']

    def _heads(self, auxiliary: bool) -> dict[str, nn.Module]:
        """The decoders by the prefix of their losses."""
        heads = {'decode': self.decode_head}
        if auxiliary and self.with_auxiliary_head:
            if isinstance(self.auxiliary_head, nn.ModuleList):
                heads.update({f'aux_{i}': head for i, head in enumerate(self.auxiliary_head)})
            else:
                heads['aux'] = self.auxiliary_head
        return heads

    def clip_logits(
        self, inputs: Tensor, flow: Tensor | None = None, no_flow: Tensor | None = None, auxiliary: bool = False
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Fused logits (N, C, h, w) of each decoder by name, ``decode`` and those of auxiliary heads if asked for, and
        the features of frame 0; arguments as in `forward`."""
        heads = self._heads(auxiliary)
        current, previous, flow = two_frames(inputs, flow)
        # The current frame comes first: autocast would keep weights that it converts without gradient.
        features = self.extract_feat(current)
        logits = {name: head(features) for name, head in heads.items()}
        if previous is None:
            return logits, features
        with torch.no_grad():
            past_features = self.extract_feat(previous)
            past = {name: head(past_features) for name, head in heads.items()}
        return {name: self.fusion(logits[name], past[name], flow, no_flow) for name in heads}, features


def auxiliary_samples(data_samples: list, number: int) -> list:
    """The samples as the auxiliary head of this number is to see them: with its own labels if they carry such."""
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
    for frame t-1 and its flow where there is no flow (N, T-1, 2, H, W).

    Raises:
        ValueError: there is a flow, but no such frame; or it is not (N, T-1, 2, H, W) of the frames.
    """
    current = inputs if inputs.dim() == 4 else inputs[:, 0]
    if flow is None:
        return current, None, None
    frames = 1 if inputs.dim() == 4 else inputs.shape[1]
    if frames < 2:
        raise ValueError(
            f'the flow leads to frame 1, but the inputs {tuple(inputs.shape)} have {frames} frame(s): '
            'give clips (N, 2, 3, H, W), or no flow'
        )
    expected = (len(inputs), frames - 1, 2, *inputs.shape[-2:])
    if flow.shape != expected:
        raise ValueError(
            f'clips {tuple(inputs.shape)} need the flow from frame 0 to each other frame, {expected}; got '
            f'{tuple(flow.shape)}'
        )
    return current, inputs[:, 1], flow[:, 0]
