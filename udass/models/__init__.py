"""Networks: backbones, heads, segmentors, losses, and the files of their weights."""

import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.models.backbones import CaffeResNet, DINOv2, MiT, TimmBackbone, TimmViT, ViTAdapter
from udass.models.checkpoints import StrictPretrained
from udass.models.data_preprocessor import CaffePreprocessor, PixelPreprocessor
from udass.models.heads import (
    ACCELHead,
    DAFormerHead,
    DLV2Head,
    HRDAHead,
    PyramidHead,
    SegFormerMLPHead,
    UpscalingHead,
    WeightedSegformerHead,
)
from udass.models.losses.feature_distillation import FeatureDistillation
from udass.models.losses.valid_cross_entropy import ValidCrossEntropy
from udass.models.segmentors import (
    FlowGuidedEncoderDecoder,
    FlowGuidedHRDAEncoderDecoder,
    HRDAEncoderDecoder,
    SlidingEncoderDecoder,
)
