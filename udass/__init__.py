"""UDASS: unsupervised domain-adaptive semantic segmentation of images and video, as a plug-in of MMSegmentation.

Importing the package registers everything it has in the registries of mmseg and mmengine, so that configs only need
``custom_imports = dict(imports=['udass'])``.
"""

import sys
import warnings

# Said at every start and of no use: no compiled op of mmcv is needed, and the average over all pixels is meant.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')

# `python -m udass.env` says what is wrong with an installation: it must run where these cannot be imported.
if ('-m', 'udass.env') not in zip(sys.orig_argv, sys.orig_argv[1:], strict=False):
    from udass import datasets, engine, evaluation, flow, models, uda  # noqa: F401

__version__ = '0.1.0'

__all__ = ['datasets', 'engine', 'evaluation', 'flow', 'models', 'uda']
