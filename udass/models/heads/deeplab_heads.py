"""The DeepLabV2 decoder and that of ACCEL-DeepLabV2: sums of dilated convolutions.

Shapes: N batch, C classes, h, w cells of the feature map.
Source: Chen et al. 2017 (arXiv 1606.00915); UDASS (TPAMI 2025, arXiv 2311.13254), the CNN video network.
"""

from collections.abc import Sequence

from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.losses.pixel_weight import PixelWeightMixin


@MODELS.register_module()
class DLV2Head(PixelWeightMixin, BaseDecodeHead):
    """Sum of one 3x3 convolution per dilation on one stage.

    Args:
        in_channels: channels of the stage.
        num_classes: C.
        dilations: (6, 12, 18, 24), or (6, 12) for the reduced head that most domain adaptation papers use.
        in_index: index of the backbone's stage; the default is the last one.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        in_index: int = -1,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_decode: dict | None = None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=num_classes,
            num_classes=num_classes,
            dropout_ratio=0,
            in_index=in_index,
            align_corners=align_corners,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=dict(type='Normal', std=0.01, override=dict(name='aspp_modules')),
        )
        del self.conv_seg  # of the base class; the convolutions below already give logits
        self.aspp_modules = _convolutions(dilations, in_channels, num_classes)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, h, w) of the stages' features."""
        branches = self.aspp_modules(self._transform_inputs(inputs))
        return sum(branches[1:], start=branches[0])


@MODELS.register_module()
class ACCELHead(PixelWeightMixin, BaseDecodeHead):
    """Sum of one 3x3 convolution per dilation on the last stage, dropout of channels, 1x1 convolution without bias;
    ``channels`` are those of the sum."""

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
        self.aspp_modules = _convolutions(dilations, in_channels, channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, h, w) of the stages' features."""
        branches = self.aspp_modules(self._transform_inputs(inputs))
        return self.cls_seg(sum(branches[1:], start=branches[0]))


def _convolutions(dilations: Sequence[int], in_channels: int, channels: int) -> ASPPModule:
    return ASPPModule(dilations, in_channels, channels, conv_cfg=None, norm_cfg=None, act_cfg=None)
