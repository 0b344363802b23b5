"""Evaluation: judge masks, scores and rankings against data sets in memory. Loads without torch."""

from reco_assist.evaluation.bootstrap import Interval, bootstrap
from reco_assist.evaluation.calibration import Reliability, fit_logistic, plot_reliability, reliability
from reco_assist.evaluation.overlap import (
    Overlap,
    boundary_f,
    class_ious,
    confusion,
    hits,
    mean_iou,
    overlap,
    pixel_accuracy,
    pooled_iou,
)
from reco_assist.evaluation.ranking import average_precision, precision_at
from reco_assist.evaluation.report import FALSE_MASK, UNTOUCHED, ConceptScore, ImageScore, Report, evaluate
from reco_assist.evaluation.truth import ConceptTruth, Labelled, Truth, truth_of

__all__ = [
    "FALSE_MASK",
    "UNTOUCHED",
    "ConceptScore",
    "ConceptTruth",
    "ImageScore",
    "Interval",
    "Labelled",
    "Overlap",
    "Reliability",
    "Report",
    "Truth",
    "average_precision",
    "bootstrap",
    "boundary_f",
    "class_ious",
    "confusion",
    "evaluate",
    "fit_logistic",
    "hits",
    "mean_iou",
    "overlap",
    "pixel_accuracy",
    "plot_reliability",
    "pooled_iou",
    "precision_at",
    "reliability",
    "truth_of",
]
