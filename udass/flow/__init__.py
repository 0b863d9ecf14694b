"""Optical flow: estimators, files, a cache, warping. ``udass.flow.warping`` states the convention of all of them."""

from udass.flow.cache import FillReport, FlowCache, FlowRequest, fill, numbered_pairs
from udass.flow.estimators import DISFlow, Estimator, RAFTFlow
from udass.flow.files import PrecomputedFlow, read_flow, write_flow
from udass.flow.warping import consistent, flip_flow, inside, resize_flow, warp, warp_labels
