"""UDASS: unsupervised domain-adaptive semantic segmentation of images and video, as a plug-in of MMSegmentation."""

import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from udass.cli.test import test
    from udass.cli.train import train
    from udass.export import load

# Of no use at every start: no compiled operator of mmcv is needed, the average over all pixels and a logit for each of
# two classes are intended.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')
warnings.filterwarnings('ignore', message='For binary segmentation, we suggest using')

__version__ = '0.1.0'
__all__ = ['load', 'test', 'train']
# Imported when they are used: torch and mmseg take seconds.
_FUNCTIONS = {'load': 'udass.export', 'test': 'udass.cli.test', 'train': 'udass.cli.train'}


def __getattr__(name: str) -> object:
    if name not in _FUNCTIONS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_FUNCTIONS[name]), name)
