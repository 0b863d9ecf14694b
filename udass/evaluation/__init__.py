"""Metrics."""
from udass.evaluation.iou import ClassIoUMetric, IoUTable
from udass.evaluation.submission import SubmissionFiles, use_for_submission

__all__ = ['ClassIoUMetric', 'IoUTable', 'SubmissionFiles', 'use_for_submission']
