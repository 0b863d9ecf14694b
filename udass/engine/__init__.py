"""The training loop, the runner, the hooks and the checkpoints."""

from udass.engine.checkpoint import SafeCheckpointHook
from udass.engine.config_files import read_config
from udass.engine.guards import DamagedFileHook, FiniteLossHook
from udass.engine.hooks import ScalarLogHook
from udass.engine.loops import UDATrainLoop
from udass.engine.optimizers import ChildOptimWrapperConstructor
from udass.engine.runner import UDARunner
from udass.engine.schedulers import GroupPolyLR

__all__ = [
    'ChildOptimWrapperConstructor',
    'DamagedFileHook',
    'FiniteLossHook',
    'GroupPolyLR',
    'SafeCheckpointHook',
    'ScalarLogHook',
    'UDARunner',
    'UDATrainLoop',
    'read_config',
]
