"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""

import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.datasets import transforms
from udass.datasets.acdc import ACDC
from udass.datasets.base import ClipDataset, UDADataset
from udass.datasets.base.checking import Report, check_dataset
from udass.datasets.base.folders import FrameFolder, ImageFolder, VideoFile
from udass.datasets.bdd import BDD100K, BDDVid
from udass.datasets.camvid import CamVidDataset, CamVidVideo
from udass.datasets.cityscapes import Cityscapes, CityscapesSeq
from udass.datasets.dark_zurich import DarkZurich
from udass.datasets.gta import GTA, Viper
from udass.datasets.mapillary import Mapillary, MapillaryV2
from udass.datasets.sampling.counting import ClassStatistics
from udass.datasets.sampling.long_tail import LongTailDataset
from udass.datasets.sampling.rare_class import RareClassDataset, class_probabilities
from udass.datasets.sampling.statistics import class_statistics
from udass.datasets.sampling.streams import SampleKey, SeededDataset, SeededInfiniteSampler, isolated_randomness
from udass.datasets.sampling.wrappers import ConcatDataset
from udass.datasets.streets import StreetsCamVidClips, StreetsCamVidDataset, StreetsClips, StreetsDataset
from udass.datasets.synscapes import Synscapes
from udass.datasets.synthia import Synthia, SynthiaSeq
from udass.datasets.urbansyn import UrbanSyn
from udass.datasets.wilddash import WildDash2
