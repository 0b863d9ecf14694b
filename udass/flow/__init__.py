"""Optical flow: estimators, files, a cache, warping. One convention, stated in ``warping``."""

from udass.flow.cache import FlowCache
from udass.flow.estimators import DISFlow, RAFTFlow
from udass.flow.files import read_flow, write_flow
from udass.flow.filling import FillReport, FlowRequest, fill, numbered_pairs
from udass.flow.precomputed import PrecomputedFlow
from udass.flow.warping import consistent, flip_flow, inside, resize_flow, warp, warp_labels

__all__ = [
    'DISFlow',
    'FillReport',
    'FlowCache',
    'FlowRequest',
    'PrecomputedFlow',
    'RAFTFlow',
    'consistent',
    'fill',
    'flip_flow',
    'inside',
    'numbered_pairs',
    'read_flow',
    'resize_flow',
    'warp',
    'warp_labels',
    'write_flow',
]
