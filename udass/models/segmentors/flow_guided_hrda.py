"""HRDA on two frames: its fused logits of a frame, helped by those of the frame before it.

Shapes as in `flow_guided` and `hrda`.
Source: Kareer et al. 2024 (arXiv 2402.00868), "HRDA + ACCEL"; the published code is that of UnifiedVideoDA.
"""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.segmentors.flow_guided import FlowGuidedEncoderDecoder, two_frames
from udass.models.segmentors.hrda import HRDAEncoderDecoder
from udass.models.segmentors.logit_fusion import LogitFusion
from udass.models.segmentors.sliding import Outputs


@MODELS.register_module()
class FlowGuidedHRDAEncoderDecoder(FlowGuidedEncoderDecoder, HRDAEncoderDecoder):
    """HRDA, whose fused logits of frames t and t-1 are joined at image size by a `LogitFusion`.

    Both frames go through the network with the same detail box, frame t-1 without gradient; its fused logits are
    warped to frame t. The detail's own loss is that of frame t alone. (The published code also joins the logits of the
    two details, but stretches them over the whole frame to warp them, and its inference joins frames without warping.)

    A clip without flow, or an image, is segmented as by `HRDAEncoderDecoder`.

    Args:
        backbone, decode_head, crop_size, output_stride, scales, feature_scale, overlapping_slide, neck, train_cfg,
            data_preprocessor: as in `HRDAEncoderDecoder`.
        test_cfg: as in `FlowGuidedEncoderDecoder`.
    """

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        crop_size: tuple[int, int],
        output_stride: int,
        scales: tuple[float, float] = (0.5, 1.0),
        feature_scale: float | None = None,
        overlapping_slide: bool = True,
        neck: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        HRDAEncoderDecoder.__init__(
            self,
            backbone=backbone,
            decode_head=decode_head,
            crop_size=crop_size,
            output_stride=output_stride,
            scales=scales,
            feature_scale=feature_scale,
            overlapping_slide=overlapping_slide,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        self.fusion = LogitFusion(self.out_channels)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        crop_box: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
    ) -> dict | list | Tensor | Outputs:
        """As `FlowGuidedEncoderDecoder`; ``loss`` and ``outputs`` also take the detail's box or a generator to draw it.
        HRDA has no auxiliary heads, so that ``auxiliary`` changes nothing."""
        if mode not in ('loss', 'outputs'):
            return super().forward(inputs, data_samples, mode, flow, no_flow)
        outputs = self.outputs(inputs, data_samples, flow, no_flow, auxiliary, crop_box, generator)
        return outputs if mode == 'outputs' else outputs.losses

    def outputs(
        self,
        inputs: Tensor,
        data_samples: list,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        crop_box: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Outputs:
        """The losses, and the features and joined logits (N, C, H, W) of frame 0; arguments as in `forward`."""
        current, previous, flow = two_frames(inputs, flow)
        box = self.training_box(current, data_samples, crop_box, generator)
        logits = self.training_logits(current, box)
        if previous is not None:
            with torch.no_grad():
                past = self.training_logits(previous, box)
            logits = logits._replace(fused=self.fusion(logits.fused, past.fused, flow, no_flow))
        return self.outputs_of(logits, current, data_samples, box)

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict], flow: Tensor | None = None, no_flow: Tensor | None = None
    ) -> Tensor:
        """Logits (N, C, H, W) of frame 0, the detail everywhere, joined with frame 1 where there is a flow."""
        current, previous, flow = two_frames(inputs, flow)
        logits = HRDAEncoderDecoder.encode_decode(self, current, batch_img_metas)
        if previous is None:
            return logits
        with torch.no_grad():
            past = HRDAEncoderDecoder.encode_decode(self, previous, batch_img_metas)
        return self.fusion(logits, past, flow, no_flow)

    def clip_logits(
        self, inputs: Tensor, flow: Tensor | None = None, no_flow: Tensor | None = None, auxiliary: bool = False
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Logits (N, C, H, W) as of `encode_decode`, under ``decode``, and the features of frame 0."""
        logits = {'decode': self.encode_decode(inputs, [], flow, no_flow)}
        return logits, self.extract_feat(two_frames(inputs, flow)[0])

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
    ) -> Tensor:
        return self.encode_decode(inputs, [], flow, no_flow)
