"""What the loaders do to each sample, beside mmcv's and mmseg's transforms."""

from udass.datasets.transforms.clip_geometry import ClipCrop, ClipFlip, ClipResize, CutBottomRows
from udass.datasets.transforms.clip_loading import LoadClip, LoadClipLabels, LoadFlow
from udass.datasets.transforms.cropping import RareClassCrop
from udass.datasets.transforms.loading import LoadImage, LoadLabels
from udass.datasets.transforms.margins import PseudoMargins
from udass.datasets.transforms.packing import META_KEYS, PackClip, PackUDAInputs
from udass.datasets.transforms.resizing import ResizeToCover

__all__ = [
    'META_KEYS',
    'ClipCrop',
    'ClipFlip',
    'ClipResize',
    'CutBottomRows',
    'LoadClip',
    'LoadClipLabels',
    'LoadFlow',
    'LoadImage',
    'LoadLabels',
    'PackClip',
    'PackUDAInputs',
    'PseudoMargins',
    'RareClassCrop',
    'ResizeToCover',
]
