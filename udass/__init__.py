"""UDASS: unsupervised domain-adaptive semantic segmentation of images and video, as a plug-in of MMSegmentation.

Importing the package registers everything it has in the registries of mmseg and mmengine, so that configs only need
``custom_imports = dict(imports=['udass'])``.
"""
from udass import datasets, engine, evaluation, models, uda

__version__ = '0.1.0'

__all__ = ['datasets', 'engine', 'evaluation', 'models', 'uda']
