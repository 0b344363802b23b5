"""Masks and their formats. Use the modules as namespaces: `rle.encode(mask)`, `brush.encode(mask)`."""

from reco_assist.masks import brush, components, polygons, rle
from reco_assist.masks.rle import Rle

__all__ = ["Rle", "brush", "components", "polygons", "rle"]
