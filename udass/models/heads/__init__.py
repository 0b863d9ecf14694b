from udass.models.heads.accel_head import ACCELHead
from udass.models.heads.daformer_head import DAFormerHead
from udass.models.heads.dlv2_head import DLV2Head
from udass.models.heads.hrda_head import HRDAHead
from udass.models.heads.segformer_head import WeightedSegformerHead
from udass.models.heads.segformer_mlp_head import SegFormerMLPHead

__all__ = ['ACCELHead', 'DAFormerHead', 'DLV2Head', 'HRDAHead', 'SegFormerMLPHead', 'WeightedSegformerHead']
