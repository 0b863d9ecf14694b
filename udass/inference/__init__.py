"""Trained networks on images and video.

from udass.inference import Segmenter
segment = Segmenter('work_dirs/streets_quadmix/iter_450.pth')
ids = segment('image.png')
"""

import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.inference.inputs import Frame, Stream, Video, check_inputs, find_inputs
from udass.inference.loading import LoadedNetwork, load_network
from udass.inference.mmseg_api import config_for_mmseg
from udass.inference.scaling import InputScaling
from udass.inference.segmenter import Segmenter

__all__ = [
    'Frame',
    'InputScaling',
    'LoadedNetwork',
    'Segmenter',
    'Stream',
    'Video',
    'check_inputs',
    'config_for_mmseg',
    'find_inputs',
    'load_network',
]
