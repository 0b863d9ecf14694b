"""Register every component of this project in the registries of mmseg and mmengine.

Configs import this module: ``custom_imports = dict(imports=['udass.all_modules'])``. The tools of this project do so
for every config and checkpoint that they read.
"""

from udass import datasets, engine, evaluation, flow, models, uda
from udass.visualization import hooks

__all__ = ['datasets', 'engine', 'evaluation', 'flow', 'hooks', 'models', 'uda']
