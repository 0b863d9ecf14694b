"""Optical flow: files and warping. One convention, stated in ``warping``."""
from udass.flow.files import read_flow, write_flow
from udass.flow.warping import consistent, flip_flow, inside, resize_flow, warp, warp_labels

__all__ = ['consistent', 'flip_flow', 'inside', 'read_flow', 'resize_flow', 'warp', 'warp_labels', 'write_flow']
