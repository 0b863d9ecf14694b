"""Networks: backbones, heads, segmentors, losses, and the files of their weights."""

from udass.models.backbones import CaffeResNet, MiT, TimmBackbone, TimmViT
from udass.models.checkpoints import StrictPretrained
from udass.models.data_preprocessor import CaffePreprocessor, PixelPreprocessor
from udass.models.heads import ACCELHead, DAFormerHead, DLV2Head, HRDAHead, SegFormerMLPHead, WeightedSegformerHead
from udass.models.losses.valid_cross_entropy import ValidCrossEntropy
from udass.models.segmentors import (
    FlowGuidedEncoderDecoder,
    FlowGuidedHRDAEncoderDecoder,
    HRDAEncoderDecoder,
    SlidingEncoderDecoder,
)

__all__ = [
    'ACCELHead',
    'CaffePreprocessor',
    'CaffeResNet',
    'DAFormerHead',
    'DLV2Head',
    'FlowGuidedEncoderDecoder',
    'FlowGuidedHRDAEncoderDecoder',
    'HRDAEncoderDecoder',
    'HRDAHead',
    'MiT',
    'PixelPreprocessor',
    'SegFormerMLPHead',
    'SlidingEncoderDecoder',
    'StrictPretrained',
    'TimmBackbone',
    'TimmViT',
    'ValidCrossEntropy',
    'WeightedSegformerHead',
]
