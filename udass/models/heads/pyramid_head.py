"""Light decoders of VFM-UDA and VFM-UDA++ for the features of vision transformers.

Shapes: N batch, E channels of the transformer, C classes.
Sources: Englert and Dubbelman 2024 and 2025 (arXiv 2406.09896, 2503.10685; tue-mps/vfm-uda, tue-mps/vfm-uda-plusplus).
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from udass.models.losses.pixel_weight import PixelWeightMixin

# Start weights of the classifier, which has no bias, and of the other layers of `PyramidHead`.
_CLASSIFIER = dict(type='Normal', std=0.1, override=dict(name='conv_seg'))
_PYRAMID = [
    dict(type='Kaiming', layer='Conv2d', mode='fan_in', distribution='uniform'),
    dict(type='Kaiming', layer='ConvTranspose2d', mode='fan_out', distribution='uniform'),
    _CLASSIFIER,
]


@MODELS.register_module()
class PyramidHead(PixelWeightMixin, BaseDecodeHead):
    """Enlarges the coarsest of four maps three times by two and adds the next finer map each time.

    Args:
        in_channels: E of the maps at 1/4, 1/8, 1/16 and 1/32.
        num_classes: C.
        norm_cfg: of the norm after each addition. Several processes want ``SyncBN``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        norm_cfg: dict | None = None,
        ignore_index: int = 255,
        loss_decode: dict | None = None,
    ) -> None:
        width = in_channels[-1]
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.01)
        super().__init__(
            channels=width // 8,
            num_classes=num_classes,
            dropout_ratio=0.0,
            align_corners=False,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=_PYRAMID,
            in_channels=list(in_channels),
            in_index=list(range(len(in_channels))),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
        )
        self.conv_seg = nn.Conv2d(self.channels, num_classes, 1, bias=False)
        self.up_convs = nn.ModuleList(nn.ConvTranspose2d(width >> i, width >> i + 1, 2, 2) for i in range(3))
        self.reduce_convs = nn.ModuleList(nn.Conv2d(in_channels[2 - i], width >> i + 1, 1) for i in range(3))
        widths = [width >> 1, width >> 2, width >> 3, width >> 3]
        self.smooth_convs = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for size in widths)
        self.norms = nn.ModuleList(build_norm_layer(norm_cfg, size)[1] for size in widths[:3])

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, H/4, W/4)."""
        *finer, features = self._transform_inputs(inputs)
        for number in range(3):
            enlarged = self.up_convs[number](features) + self.reduce_convs[number](finer[2 - number])
            features = torch.relu(self.norms[number](self.smooth_convs[number](enlarged)))
        return self.cls_seg(self.smooth_convs[3](features))


@MODELS.register_module()
class UpscalingHead(PixelWeightMixin, BaseDecodeHead):
    """Enlarges one map of tokens (``in_index`` of the backbone's, E = ``in_channels``) twice by two (transposed
    convolutions without bias), then classifies."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        in_index: int = -1,
        ignore_index: int = 255,
        loss_decode: dict | None = None,
    ) -> None:
        half, quarter = in_channels // 2, in_channels // 4
        super().__init__(
            channels=quarter,
            num_classes=num_classes,
            dropout_ratio=0.0,
            align_corners=False,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=_CLASSIFIER,
            in_channels=in_channels,
            in_index=in_index,
        )
        self.conv_seg = nn.Conv2d(quarter, num_classes, 1, bias=False)
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, 2, bias=False),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, 2, bias=False),
            LayerNorm2d(quarter),
            nn.Conv2d(quarter, quarter, 3, padding=1, bias=False),
            LayerNorm2d(quarter),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, 4 h, 4 w) of tokens (N, E, h, w)."""
        return self.cls_seg(self.upscale(self._transform_inputs(inputs)))
