"""UDASS: unsupervised domain-adaptive semantic segmentation of images and video, as a plug-in of MMSegmentation."""

import warnings

# Of no use at every start: no compiled operator of mmcv is needed, and the average over all pixels is intended.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')

__version__ = '0.1.0'
