"""HRDA on two frames: its fused logits of a frame, joined with those of the frame before it.

Shapes as in `flow_guided` and `hrda`.
Source: Kareer et al. 2024 (arXiv 2402.00868), "HRDA + ACCEL"; the published code is that of UnifiedVideoDA.
"""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from udass.models.segmentors.flow_guided import FlowGuidedEncoderDecoder, two_frames
from udass.models.segmentors.hrda import HRDAEncoderDecoder
from udass.models.segmentors.sliding import Outputs


@MODELS.register_module()
class FlowGuidedHRDAEncoderDecoder(FlowGuidedEncoderDecoder, HRDAEncoderDecoder):
    """HRDA, whose fused logits of frames t and t-1 are joined at image size by a `LogitFusion`.

    Both frames go through the network with the same detail box, frame t-1 without gradient; its fused logits are
    warped to frame t. The detail's own loss is that of frame t alone. (The published code also joins the logits of the
    two details, but stretches them over the whole frame to warp them, and its inference joins frames without warping.)

    A clip without flow, or an image, is segmented as by `HRDAEncoderDecoder`, whose arguments it has; ``test_cfg`` is
    that of `FlowGuidedEncoderDecoder`. There are no auxiliary heads, so that ``auxiliary`` changes nothing.
    """

    def _init_decode_head(self, decode_head: dict) -> None:
        # Corners are aligned as HRDA's head does it.
        HRDAEncoderDecoder._init_decode_head(self, decode_head)

    def outputs(  # type: ignore[override]
        self,
        inputs: Tensor,
        data_samples: list,
        *,
        flow: Tensor | None = None,
        no_flow: Tensor | None = None,
        auxiliary: bool = True,
        extra_clip: tuple[Tensor, Tensor] | None = None,
        crop_box: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Outputs:
        """Losses, and the features and joined logits (N, C, H, W) of frame 0; arguments as in the parents."""
        current, previous, flow = two_frames(inputs, flow)
        box = self.training_box(current, data_samples, crop_box, generator)
        logits = self.training_logits(current, box)
        if previous is not None:
            with torch.no_grad():
                past = self.training_logits(previous, box)
            logits = logits._replace(fused=self.fusion(logits.fused, past.fused, flow, no_flow))
        extra_logits = None if extra_clip is None else self.clip_logits(*extra_clip)[0]['decode']
        return self.outputs_of(logits, current, data_samples)._replace(extra_logits=extra_logits)

    def frame_logits(
        self,
        images: Tensor,
        auxiliary: bool,
        token_mask: None = None,  # type: ignore[override]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Logits (N, C, H, W) of single frames (N, 3, H, W), the detail everywhere, under ``decode``; no features."""
        return {'decode': HRDAEncoderDecoder.encode_decode(self, images, [])}, []
