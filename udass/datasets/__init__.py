"""Data sets, the wrappers that draw from them, and the random streams of the loaders."""
from . import transforms
from .streams import Draw, DrawnDataset, DrawSampler, isolated_randomness

__all__ = ['Draw', 'DrawSampler', 'DrawnDataset', 'isolated_randomness', 'transforms']
