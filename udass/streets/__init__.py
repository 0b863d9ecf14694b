"""Built-in street scenes: labelled images and clips with exact optical flow in two domains, drawn from a seed."""

from udass.streets.domain import CAMERA, DOMAINS, GAME, Domain
from udass.streets.render import StreetClip, render_clip, render_image
from udass.streets.writer import DEFAULT_CLIP_COUNTS, DEFAULT_COUNTS, write_streets
