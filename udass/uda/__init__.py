from udass.uda.adapter import DomainAdapter
from udass.uda.ema import EMA
from udass.uda.masking import BlockMasking
from udass.uda.mixing import ClassMix, QuadMix
from udass.uda.photometric import PhotometricChange
from udass.uda.pseudo_labels import ConfidencePseudoLabels

__all__ = ['BlockMasking', 'ClassMix', 'ConfidencePseudoLabels', 'DomainAdapter', 'EMA', 'PhotometricChange', 'QuadMix']
