"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""
from . import transforms
from .acdc import ACDC
from .base import UDADataset
from .bdd_vid import BDDVid
from .camvid import CamVidDataset
from .camvid_video import CamVidVideo
from .checking import Report, check_dataset
from .cityscapes import Cityscapes
from .cityscapes_seq import CityscapesSeq
from .clips import ClipDataset
from .dark_zurich import DarkZurich
from .gta import GTA
from .long_tail import LongTailDataset
from .pictures import PictureFolder
from .rare_class import RareClassDataset, class_probabilities
from .recordings import FrameFolder, VideoFile
from .statistics import ClassStatistics, class_statistics
from .streams import Draw, DrawnDataset, DrawSampler, isolated_randomness
from .streets_clips import StreetsClips
from .streets_dataset import StreetsCamVidDataset, StreetsDataset
from .synthia import Synthia
from .synthia_seq import SynthiaSeq
from .viper import Viper

__all__ = ['ACDC', 'BDDVid', 'CamVidDataset', 'CamVidVideo', 'Cityscapes', 'CityscapesSeq', 'ClassStatistics',
           'ClipDataset', 'DarkZurich', 'Draw', 'DrawSampler', 'DrawnDataset', 'FrameFolder', 'GTA', 'LongTailDataset',
           'PictureFolder', 'RareClassDataset', 'Report', 'StreetsCamVidDataset', 'StreetsClips', 'StreetsDataset',
           'Synthia', 'SynthiaSeq', 'UDADataset', 'VideoFile', 'Viper', 'check_dataset', 'class_probabilities',
           'class_statistics', 'isolated_randomness', 'transforms']
