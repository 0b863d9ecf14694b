from udass.models.backbones import MiT, TimmBackbone, TimmViT
from udass.models.checkpoints import StrictPretrained
from udass.models.data_preprocessor import PixelPreprocessor
from udass.models.heads import DAFormerHead, DLV2Head, HRDAHead, SegFormerMLPHead, WeightedSegformerHead
from udass.models.segmentors import HRDAEncoderDecoder, SlidingEncoderDecoder

__all__ = ['DAFormerHead', 'DLV2Head', 'HRDAEncoderDecoder', 'HRDAHead', 'MiT', 'PixelPreprocessor', 'SegFormerMLPHead',
           'SlidingEncoderDecoder', 'StrictPretrained', 'TimmBackbone', 'TimmViT', 'WeightedSegformerHead']
