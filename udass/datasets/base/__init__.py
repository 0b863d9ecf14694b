"""What data sets are made of: their files, clips of frames, classes, and data sets of any folder."""

from udass.datasets.base.clips import ClipDataset
from udass.datasets.base.dataset import UDADataset
