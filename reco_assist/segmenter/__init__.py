"""Segmentation: images and Concepts in, probability maps and masks out."""

from reco_assist.concepts import REFINE_SIDE
from reco_assist.segmenter.maps import REFINEMENTS, Refine, full_size, refined, refinement
from reco_assist.segmenter.predictor import Predictor, predict
from reco_assist.segmenter.segmenter import LOOKS, Segmenter
from reco_assist.segmenter.targets import Loaded, ProbabilityMaps, Skipped, Target, load
from reco_assist.segmenter.tiles import HUGE, Keeper, Look

__all__ = [
    "HUGE",
    "LOOKS",
    "REFINEMENTS",
    "REFINE_SIDE",
    "Keeper",
    "Loaded",
    "Look",
    "Predictor",
    "ProbabilityMaps",
    "Refine",
    "Segmenter",
    "Skipped",
    "Target",
    "full_size",
    "load",
    "predict",
    "refined",
    "refinement",
]
