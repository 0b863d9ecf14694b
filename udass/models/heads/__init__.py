from udass.models.heads.daformer_head import DAFormerHead
from udass.models.heads.deeplab_heads import ACCELHead, DLV2Head
from udass.models.heads.hrda_head import HRDAHead
from udass.models.heads.pyramid_head import PyramidHead, UpscalingHead
from udass.models.heads.segformer_heads import SegFormerMLPHead, WeightedSegformerHead
