"""Masks and their formats. Use the codecs as namespaces: `rle.encode(mask)`, `brush.encode(mask)`."""

from reco_assist.masks import brush, colours, components, polygons, rle
from reco_assist.masks.components import encode_labels, label
from reco_assist.masks.counts import Rle

__all__ = [
    "Rle",
    "brush",
    "colours",
    "components",
    "encode_labels",
    "label",
    "polygons",
    "rle",
]
