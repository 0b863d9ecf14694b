from udass.uda.adaptation_losses import AdversarialAlignment, EntropyMinimization
from udass.uda.adapter import DomainAdapter
from udass.uda.ema import EMA
from udass.uda.feature_distance import FeatureDistance
from udass.uda.feature_mixing import FeatureMixing
from udass.uda.masking import BlockMasking
from udass.uda.mixing import ClassMix, QuadMix, VideoQuadMix
from udass.uda.photometric import PhotometricChange, StrongAugmentation
from udass.uda.pseudo_labels import ConfidencePseudoLabels
from udass.uda.video import CentroidAlignment, CrossFramePass, CrossFramePseudoLabels, VideoAdapter

__all__ = [
    'AdversarialAlignment',
    'BlockMasking',
    'CentroidAlignment',
    'ClassMix',
    'ConfidencePseudoLabels',
    'CrossFramePass',
    'CrossFramePseudoLabels',
    'DomainAdapter',
    'EMA',
    'EntropyMinimization',
    'FeatureDistance',
    'FeatureMixing',
    'PhotometricChange',
    'QuadMix',
    'StrongAugmentation',
    'VideoAdapter',
    'VideoQuadMix',
]
