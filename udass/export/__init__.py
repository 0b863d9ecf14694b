"""Trained networks that leave the framework: a folder with weights and settings, ONNX, torch.export, a hub."""

from udass.export.folder import FORMATS, export
from udass.export.network import TrainedNetwork, load
