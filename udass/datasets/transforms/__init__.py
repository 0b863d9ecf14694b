"""What the loaders do to each sample, beside mmcv's and mmseg's transforms."""
from .cropping import RareClassCrop
from .loading import LoadImage, LoadLabels
from .margins import PseudoMargins
from .packing import META_KEYS, PackUDAInputs

__all__ = ['META_KEYS', 'LoadImage', 'LoadLabels', 'PackUDAInputs', 'PseudoMargins', 'RareClassCrop']
