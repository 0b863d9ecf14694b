import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.uda.adaptation_losses import AdversarialAlignment, CentroidAlignment, EntropyMinimization
from udass.uda.adapter import DomainAdapter
from udass.uda.ema import EMA
from udass.uda.feature_distance import FeatureDistance
from udass.uda.masking import BlockMasking, TokenMasking
from udass.uda.mixing import ClassMix, FeatureMixing, QuadMix, VideoQuadMix
from udass.uda.photometric import PhotometricChange, StrongAugmentation
from udass.uda.pseudo_labels import ConfidencePseudoLabels, CrossFramePseudoLabels
from udass.uda.video import CrossFramePass, VideoAdapter
