"""Segmentation: images and Concepts in, probability maps and masks out."""

from reco_assist.segmenter.batches import Batch
from reco_assist.segmenter.journal import Journal, run
from reco_assist.segmenter.segmenter import AUTOMATIC, Instances, Segmented, Segmenter, Skipped, Target

__all__ = [
    "AUTOMATIC",
    "Batch",
    "Instances",
    "Journal",
    "Segmented",
    "Segmenter",
    "Skipped",
    "Target",
    "run",
]
