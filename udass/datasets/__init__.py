"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""
from . import transforms
from .acdc import ACDC
from .base import UDADataset
from .camvid import CamVidDataset
from .checking import Report, check_dataset
from .cityscapes import Cityscapes
from .dark_zurich import DarkZurich
from .gta import GTA
from .long_tail import LongTailDataset
from .pictures import PictureFolder
from .rare_class import RareClassDataset, class_probabilities
from .statistics import ClassStatistics, class_statistics
from .streams import Draw, DrawnDataset, DrawSampler, isolated_randomness
from .streets_dataset import StreetsDataset
from .synthia import Synthia

__all__ = ['ACDC', 'CamVidDataset', 'Cityscapes', 'ClassStatistics', 'DarkZurich', 'Draw', 'DrawSampler',
           'DrawnDataset', 'GTA', 'LongTailDataset', 'PictureFolder', 'RareClassDataset', 'Report', 'StreetsDataset',
           'Synthia', 'UDADataset', 'check_dataset', 'class_probabilities', 'class_statistics', 'isolated_randomness',
           'transforms']
