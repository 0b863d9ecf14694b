from udass.models.segmentors.flow_guided import FlowGuidedEncoderDecoder
from udass.models.segmentors.flow_guided_hrda import FlowGuidedHRDAEncoderDecoder
from udass.models.segmentors.hrda import HRDAEncoderDecoder
from udass.models.segmentors.logit_fusion import LogitFusion
from udass.models.segmentors.sliding import Outputs, SlidingEncoderDecoder
