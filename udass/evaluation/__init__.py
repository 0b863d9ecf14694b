"""Metrics."""
from udass.evaluation.iou import ClassIoUMetric, IoUTable

__all__ = ['ClassIoUMetric', 'IoUTable']
