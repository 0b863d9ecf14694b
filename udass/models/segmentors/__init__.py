from udass.models.segmentors.hrda import HRDAEncoderDecoder
from udass.models.segmentors.sliding import SlidingEncoderDecoder

__all__ = ['HRDAEncoderDecoder', 'SlidingEncoderDecoder']
