"""Transforms of images and clips, beside those of mmcv and mmseg."""

from udass.datasets.transforms.cropping import RareClassCrop
from udass.datasets.transforms.geometry import ClipCrop, ClipFlip, ClipResize, CutBottomRows, PadToCover, ResizeToCover
from udass.datasets.transforms.loading import LoadClip, LoadClipLabels, LoadFlow, LoadImage, LoadLabels
from udass.datasets.transforms.margins import PseudoMargins
from udass.datasets.transforms.packing import META_KEYS, PackClip, PackUDAInputs
