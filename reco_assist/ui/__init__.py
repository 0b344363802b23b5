"""The notebook widgets: the only layer that knows anywidget, ipywidgets and IPython."""

from reco_assist.ui.annotator import Annotator
from reco_assist.ui.canvas import MaskCanvas
from reco_assist.ui.curve import watch
from reco_assist.ui.frame import ConceptLayer, Decision, Edit, Frame
from reco_assist.ui.gallery import ExemplarGallery, GalleryItem, GallerySource

__all__ = [
    "Annotator",
    "ConceptLayer",
    "Decision",
    "Edit",
    "ExemplarGallery",
    "Frame",
    "GalleryItem",
    "GallerySource",
    "MaskCanvas",
    "watch",
]
