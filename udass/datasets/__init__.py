"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""
from . import transforms
from .base import UDADataset
from .camvid import CamVidDataset
from .long_tail import LongTailDataset
from .rare_class import RareClassDataset, class_probabilities
from .statistics import ClassStatistics, class_statistics
from .streams import Draw, DrawnDataset, DrawSampler, isolated_randomness
from .streets_dataset import StreetsDataset

__all__ = ['CamVidDataset', 'ClassStatistics', 'Draw', 'DrawSampler', 'DrawnDataset', 'LongTailDataset',
           'RareClassDataset', 'StreetsDataset', 'UDADataset', 'class_probabilities', 'class_statistics',
           'isolated_randomness', 'transforms']
