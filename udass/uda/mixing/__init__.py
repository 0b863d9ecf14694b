from udass.uda.mixing.base import Mixing
from udass.uda.mixing.classmix import ClassMix, classmix
from udass.uda.mixing.feature_mixing import FeatureMixing
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.mixing.quadmix import Directions, QuadMix, quadmix
from udass.uda.mixing.video_quadmix import VideoQuadMix
