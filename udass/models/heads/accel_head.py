"""The main decoder of ACCEL-DeepLabV2: DeepLabV2's dilated convolutions, and a classifier after them.

Shapes: N batch, C classes, h, w cells of the last feature map.
Source: UDASS (TPAMI 2025, arXiv 2311.13254), the CNN video network.
"""

from collections.abc import Sequence

from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.losses.pixel_weight import PixelWeightMixin


@MODELS.register_module()
class ACCELHead(PixelWeightMixin, BaseDecodeHead):
    """Sum of one 3x3 convolution per dilation on the last stage, dropout of channels, 1x1 convolution without bias.

    Args:
        in_channels: channels of the last stage.
        num_classes: C.
        channels: channels of the sum.
        dilations: of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 256,
        dilations: Sequence[int] = (6, 12, 18, 24),
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_decode: dict | None = None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=[dict(type='Normal', std=0.01, override=dict(name=name)) for name in ('aspp_modules', 'conv_seg')],
        )
        self.conv_seg = nn.Conv2d(channels, self.out_channels, kernel_size=1, bias=False)
        self.aspp_modules = ASPPModule(
            dilations=dilations, in_channels=in_channels, channels=channels, conv_cfg=None, norm_cfg=None, act_cfg=None
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Scores (N, C, h, w) of the stages' features."""
        branches = self.aspp_modules(self._transform_inputs(inputs))
        return self.cls_seg(sum(branches[1:], start=branches[0]))
