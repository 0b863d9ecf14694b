"""What the loaders do to each sample, beside mmcv's and mmseg's transforms."""
from .clip_geometry import ClipCrop, ClipFlip, ClipResize, CutBottomRows
from .clip_loading import LoadClip, LoadClipLabels, LoadFlow
from .cropping import RareClassCrop
from .loading import LoadImage, LoadLabels
from .margins import PseudoMargins
from .packing import META_KEYS, PackClip, PackUDAInputs
from .resizing import ResizeToCover

__all__ = ['META_KEYS', 'ClipCrop', 'ClipFlip', 'ClipResize', 'CutBottomRows', 'LoadClip', 'LoadClipLabels', 'LoadFlow',
           'LoadImage', 'LoadLabels', 'PackClip', 'PackUDAInputs', 'PseudoMargins', 'RareClassCrop', 'ResizeToCover']
