"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""

from udass.datasets import transforms
from udass.datasets.acdc import ACDC
from udass.datasets.base import UDADataset
from udass.datasets.bdd_vid import BDDVid
from udass.datasets.camvid import CamVidDataset
from udass.datasets.camvid_video import CamVidVideo
from udass.datasets.checking import Report, check_dataset
from udass.datasets.cityscapes import Cityscapes
from udass.datasets.cityscapes_seq import CityscapesSeq
from udass.datasets.clips import ClipDataset
from udass.datasets.dark_zurich import DarkZurich
from udass.datasets.gta import GTA
from udass.datasets.image_folder import ImageFolder
from udass.datasets.sampling.long_tail import LongTailDataset
from udass.datasets.sampling.rare_class import RareClassDataset, class_probabilities
from udass.datasets.sampling.statistics import ClassStatistics, class_statistics
from udass.datasets.sampling.streams import SampleKey, SeededDataset, SeededInfiniteSampler, isolated_randomness
from udass.datasets.streets_clips import StreetsClips
from udass.datasets.streets_dataset import StreetsDataset
from udass.datasets.synthia import Synthia
from udass.datasets.synthia_seq import SynthiaSeq
from udass.datasets.video_folder import FrameFolder, VideoFile
from udass.datasets.viper import Viper

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
    'SampleKey',
    'SeededInfiniteSampler',
    'SeededDataset',
    'FrameFolder',
    'GTA',
    'LongTailDataset',
    'ImageFolder',
    'RareClassDataset',
    'Report',
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
