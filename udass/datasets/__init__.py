"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""

from udass.datasets import transforms
from udass.datasets.acdc import ACDC
from udass.datasets.base import ClipDataset, UDADataset
from udass.datasets.base.checking import Report, check_dataset
from udass.datasets.base.folders import FrameFolder, ImageFolder, VideoFile
from udass.datasets.bdd import BDDVid
from udass.datasets.camvid import CamVidDataset, CamVidVideo
from udass.datasets.cityscapes import Cityscapes, CityscapesSeq
from udass.datasets.dark_zurich import DarkZurich
from udass.datasets.gta import GTA, Viper
from udass.datasets.sampling.counting import ClassStatistics
from udass.datasets.sampling.long_tail import LongTailDataset
from udass.datasets.sampling.rare_class import RareClassDataset, class_probabilities
from udass.datasets.sampling.statistics import class_statistics
from udass.datasets.sampling.streams import SampleKey, SeededDataset, SeededInfiniteSampler, isolated_randomness
from udass.datasets.streets import StreetsClips, StreetsDataset
from udass.datasets.synthia import Synthia, SynthiaSeq

__all__ = [
    'ACDC',
    'BDDVid',
    'CamVidDataset',
    'CamVidVideo',
    'Cityscapes',
    'CityscapesSeq',
    'ClassStatistics',
    'ClipDataset',
    'DarkZurich',
    'FrameFolder',
    'GTA',
    'ImageFolder',
    'LongTailDataset',
    'RareClassDataset',
    'Report',
    'SampleKey',
    'SeededDataset',
    'SeededInfiniteSampler',
    'StreetsClips',
    'StreetsDataset',
    'Synthia',
    'SynthiaSeq',
    'UDADataset',
    'VideoFile',
    'Viper',
    'check_dataset',
    'class_probabilities',
    'class_statistics',
    'isolated_randomness',
    'transforms',
]
