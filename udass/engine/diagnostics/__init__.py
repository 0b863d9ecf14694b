"""Hooks that show how a training goes, and that re-estimate the statistics of batch norm."""

from udass.engine.diagnostics.batch_norm import BatchNormStatisticsHook
from udass.engine.diagnostics.pseudo_labels import PseudoLabelHook
from udass.engine.diagnostics.target_validation import TargetValidationHook
