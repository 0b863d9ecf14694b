"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""
from . import transforms
from .base import UDADataset
from .camvid import CamVidDataset
from .streams import Draw, DrawnDataset, DrawSampler, isolated_randomness
from .streets_dataset import StreetsDataset

__all__ = ['CamVidDataset', 'Draw', 'DrawSampler', 'DrawnDataset', 'StreetsDataset', 'UDADataset',
           'isolated_randomness', 'transforms']
