"""UDASS: unsupervised domain-adaptive semantic segmentation of images and video, as a plug-in of MMSegmentation.

Importing the package registers everything it has in the registries of mmseg and mmengine, so that configs only need
``custom_imports = dict(imports=['udass'])``.
"""
import warnings

# Said at every start and of no use: no compiled op of mmcv is needed, and the average over all pixels is meant.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')

from udass import datasets, engine, evaluation, flow, models, uda  # noqa: E402

__version__ = '0.1.0'

__all__ = ['datasets', 'engine', 'evaluation', 'flow', 'models', 'uda']
