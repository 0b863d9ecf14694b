"""Trained networks on images and video: ``Segmenter('work_dirs/streets_quadmix/iter_450.pth')('image.png')``."""

import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.inference.inputs import Frame, Stream, Video, check_inputs, find_inputs
from udass.inference.loading import LoadedNetwork, load_network
from udass.inference.mmseg_api import config_for_mmseg
from udass.inference.scaling import InputScaling
from udass.inference.segmenter import Segmenter
