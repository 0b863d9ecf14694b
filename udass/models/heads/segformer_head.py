"""mmseg's SegFormer head under the pixel-weighted loss: the light decoder of the small runs."""

from mmseg.models.decode_heads import SegformerHead
from mmseg.registry import MODELS

from udass.models.losses.pixel_weight import PixelWeightMixin


@MODELS.register_module()
class WeightedSegformerHead(PixelWeightMixin, SegformerHead):
    """Embeds each stage to ``channels`` (1x1 convolution, norm, ReLU), joins them at the finest and classifies."""
