"""The DAFormer decoder: embeddings of all stages, fused with context.

Shapes: N batch, C classes; stage i is (N, C_i, h_i, w_i), finest first.
Source: Hoyer et al. 2022 (arXiv 2111.14887).
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.heads.segformer_heads import MLPEmbedding, fuse_stages
from udass.models.losses.pixel_weight import PixelWeightMixin


class SeparableASPP(nn.Module):
    """Depthwise separable atrous pyramid without image pooling: (N, in_channels, h, w) to (N, channels, h, w).

    Args:
        dilations: one branch each; dilation 1 is a plain 1x1 convolution.
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int], norm_cfg: dict) -> None:
        super().__init__()
        relu = dict(type='ReLU')
        self.aspp_modules = DepthwiseSeparableASPPModule(
            dilations=dilations,
            in_channels=in_channels,
            channels=channels,
            conv_cfg=None,
            norm_cfg=norm_cfg,
            act_cfg=relu,
        )
        self.bottleneck = ConvModule(len(dilations) * channels, channels, 3, padding=1, norm_cfg=norm_cfg)

    def forward(self, features: Tensor) -> Tensor:
        return self.bottleneck(torch.cat(self.aspp_modules(features), dim=1))


@MODELS.register_module()
class DAFormerHead(PixelWeightMixin, BaseDecodeHead):
    """Embeds each stage, brings all to the size of the finest, fuses them and classifies.

    Args:
        in_channels: channels of the stages, finest first.
        num_classes: C.
        embed_channels: channels of each stage's embedding.
        channels: channels after the fusion.
        fusion: ``aspp``, the context-aware fusion of DAFormer, or ``conv``, one 1x1 convolution (what HRDA's scale
            attention uses).
        dilations: branches of the ``aspp`` fusion.
        classifier_std: standard deviation of the classifier's start weights (mmseg's value); None leaves it PyTorch's.

    Raises:
        ValueError: an unknown fusion.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        embed_channels: int = 256,
        channels: int = 256,
        fusion: str = 'aspp',
        dilations: Sequence[int] = (1, 6, 12, 18),
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = None,
        align_corners: bool = False,
        ignore_index: int = 255,
        classifier_std: float | None = 0.01,
        loss_decode: dict | None = None,
    ) -> None:
        init_cfg = dict(type='Normal', std=classifier_std, override=dict(name='conv_seg'))
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg or dict(type='BN'),
            in_index=list(range(len(in_channels))),
            input_transform='multiple_select',
            align_corners=align_corners,
            ignore_index=ignore_index,
            loss_decode=loss_decode or dict(type='CrossEntropyLoss', avg_non_ignore=False),
            init_cfg=None if classifier_std is None else init_cfg,
        )
        self.embed_layers = nn.ModuleList(MLPEmbedding(stage, embed_channels) for stage in self.in_channels)
        joined = embed_channels * len(self.in_channels)
        if fusion == 'aspp':
            self.fuse_layer = SeparableASPP(joined, channels, dilations, self.norm_cfg)
        elif fusion == 'conv':
            self.fuse_layer = ConvModule(joined, channels, 1, norm_cfg=self.norm_cfg)
        else:
            raise ValueError(f"the fusion of DAFormerHead is 'aspp' or 'conv'; got {fusion!r}")

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, h_0, w_0) of the stages' features."""
        embedded = self.embed(inputs)
        # What hooks into the fusion (`FeatureMixing`) wants the joined embeddings.
        if isinstance(self.fuse_layer, ConvModule) and not self.fuse_layer._forward_pre_hooks:
            return self.cls_seg(fuse_stages(self.fuse_layer, embedded, self.align_corners))
        return self.cls_seg(self.fuse_layer(self.join(embedded)))

    def embed(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The stages' embeddings, (N, embed_channels, h_i, w_i)."""
        inputs = self._transform_inputs(inputs)
        return [layer(stage) for layer, stage in zip(self.embed_layers, inputs, strict=True)]

    def join(self, embedded: Sequence[Tensor]) -> Tensor:
        """All embeddings at the finest stage's size, (N, stages * embed_channels, h_0, w_0)."""
        # They have channels innermost, for which dilated depth-wise convolutions are many times slower on a CPU.
        first, *others = [stage.contiguous() for stage in embedded]
        sized = [resize(stage, first.shape[2:], mode='bilinear', align_corners=self.align_corners) for stage in others]
        return torch.cat([first, *sized], dim=1)
