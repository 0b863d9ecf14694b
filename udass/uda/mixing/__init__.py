from udass.uda.mixing.classmix import ClassMix, classmix
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.mixing.quadmix import Directions, QuadMix, quadmix

__all__ = ['ClassMix', 'Directions', 'LongTail', 'QuadMix', 'classmix', 'paste_long_tail', 'quadmix']
