"""Built-in street scenes: labelled images and clips with exact optical flow in two domains, drawn from a seed."""

from udass.datasets.streets.clip import StreetClip, render_clip
from udass.datasets.streets.domain import CAMERA, DOMAINS, GAME, Domain
from udass.datasets.streets.image import render_image
from udass.datasets.streets.writer import DEFAULT_CLIP_COUNTS, DEFAULT_COUNTS, write_streets
from udass.flow.files import read_flow, write_flow

__all__ = [
    'CAMERA',
    'DEFAULT_CLIP_COUNTS',
    'DEFAULT_COUNTS',
    'DOMAINS',
    'GAME',
    'Domain',
    'StreetClip',
    'read_flow',
    'render_clip',
    'render_image',
    'write_flow',
    'write_streets',
]
