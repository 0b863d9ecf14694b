from udass.models.segmentors.hrda import HRDAEncoderDecoder
from udass.models.segmentors.sliding import Outputs, SlidingEncoderDecoder

__all__ = ['HRDAEncoderDecoder', 'Outputs', 'SlidingEncoderDecoder']
