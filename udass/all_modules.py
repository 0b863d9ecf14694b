"""Register every component of this project: ``custom_imports = dict(imports=['udass.all_modules'])`` in a config."""

from udass import datasets, engine, evaluation, flow, models, uda
from udass.visualization import hooks

__all__ = ['datasets', 'engine', 'evaluation', 'flow', 'hooks', 'models', 'uda']
