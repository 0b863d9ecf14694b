"""Metrics."""

from udass.evaluation.iou import ClassIoUMetric, IoUTable
from udass.evaluation.submission import SubmissionFiles, use_for_submission
from udass.evaluation.temporal import TemporalConsistency
from udass.evaluation.unlabelled import UnlabelledMetric
