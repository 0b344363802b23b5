"""ReCo+: train a student segmenter on what a teacher's masks get right, and use it like a Concept.

Needs the extra `train`: pip install 'reco-assist[train]'.
"""

from reco_assist.student.examples import Examples, read_corrected_masks
from reco_assist.student.network import Design
from reco_assist.student.onnx import export_onnx
from reco_assist.student.predictor import StudentSegmenter, load_predictor
from reco_assist.student.pseudo_labels import pseudo_label
from reco_assist.student.recipe import FROZEN, Recipe
from reco_assist.student.student import Student
from reco_assist.student.training import Moment, train

__all__ = [
    "FROZEN",
    "Design",
    "Examples",
    "Moment",
    "Recipe",
    "Student",
    "StudentSegmenter",
    "export_onnx",
    "load_predictor",
    "pseudo_label",
    "read_corrected_masks",
    "train",
]
