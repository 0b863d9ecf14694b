"""The training loop, the runner, the hooks and the checkpoints."""

import udass.io.quiet_import  # noqa: F401  # isort: skip
from udass.engine.checkpoint import SafeCheckpointHook
from udass.engine.config_files import read_config
from udass.engine.diagnostics import BatchNormStatisticsHook, PseudoLabelHook, TargetValidationHook
from udass.engine.hooks import DamagedFileHook, FiniteLossHook, ScalarLogHook
from udass.engine.loop import UDATrainLoop
from udass.engine.optim import ChildOptimWrapperConstructor, GroupPolyLR
from udass.engine.runner import UDARunner
