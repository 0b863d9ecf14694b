"""Metrics."""

from udass.evaluation.iou import ClassIoUMetric, IoUTable
from udass.evaluation.submission import SubmissionFiles, use_for_submission
from udass.evaluation.temporal import TemporalConsistency

__all__ = ['ClassIoUMetric', 'IoUTable', 'SubmissionFiles', 'TemporalConsistency', 'use_for_submission']
