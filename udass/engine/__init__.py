"""The training loop, the runner, the hooks and the checkpoints.

The metrics come with it, because a run builds them by name from its config.
"""
from udass.engine.checkpoint import SafeCheckpointHook
from udass.engine.hooks import PanelHook, PredictionPictureHook, ScalarLogHook
from udass.engine.loops import UDATrainLoop
from udass.engine.runner import UDARunner
from udass.evaluation import ClassIoUMetric

__all__ = ['ClassIoUMetric', 'PanelHook', 'PredictionPictureHook', 'SafeCheckpointHook', 'ScalarLogHook', 'UDARunner',
           'UDATrainLoop']
