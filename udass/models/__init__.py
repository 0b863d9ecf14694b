from udass.models.backbones import TimmBackbone
from udass.models.data_preprocessor import PixelPreprocessor
from udass.models.heads import WeightedSegformerHead

__all__ = ['PixelPreprocessor', 'TimmBackbone', 'WeightedSegformerHead']
