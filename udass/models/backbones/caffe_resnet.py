"""The ResNet under the original DeepLabV2, as its Caffe release has it.

Source: Chen et al. 2017 (arXiv 1606.00915); domain adaptation for video took it over (DA-VSN, TPS, UDASS).
"""

from collections.abc import Sequence

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class CaffeResNet(ResNet):
    """mmseg's ResNet at output stride 8 with the differences of the Caffe release.

    The stem is one 7x7 convolution and its pooling rounds sizes up; a bottleneck strides in its first 1x1 convolution;
    every block of the last two stages has dilation 2 and 4, the first ones included. Scale and shift of batch norm are
    frozen; in training its statistics are those of the batch. Features are (N, 256 * 2**i, h, w).
    State dict keys are mmseg's.

    Args:
        depth: 50, 101 or 152.
        out_indices: stages to give, 0 to 3.
        with_cp: recompute activations in the backward pass, for less memory.
        init_cfg: start weights; `StrictPretrained` loads a file completely or fails.

    Raises:
        ValueError: a depth that has no bottlenecks.
    """

    def __init__(
        self,
        depth: int = 101,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        if depth not in (50, 101, 152):
            raise ValueError(f'CaffeResNet has the depths 50, 101 and 152; got {depth!r}')
        super().__init__(
            depth=depth,
            out_indices=tuple(out_indices),
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            style='caffe',
            norm_cfg=dict(type='BN', requires_grad=False),
            with_cp=with_cp,
            init_cfg=init_cfg,
        )

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True)
